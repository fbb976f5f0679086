"""What a build asks of a daemon, worked out before any daemon is asked.

`options` are a build's as buildx has them, `plan` what the daemon gets and what it is lent; `make`
turns the one into the other, with what is read (`inputs`, `git_info`), what is written (`outputs`)
and what the builder can (`builder`, `platforms`). `checks` are those that need no daemon.
"""
