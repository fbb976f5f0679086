"""What a build asks of a daemon, worked out before any daemon is asked.

`options` are a build's as buildx has them; `make` turns them into a plan, with what is read
(`inputs`, `git_info`), what is written (`outputs`) and what the builder can (`builder`,
`platforms`). `checks` are those that need no daemon.
"""
