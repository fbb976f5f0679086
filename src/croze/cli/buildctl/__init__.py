"""`buildctl`: what `croze` is when it is called by that name, as links let it.

`main` reads the flags before a command and finds the command: `build`, `du`, `prune`,
`prune-histories`, `dial-stdio` and `debug`. Flags, texts and exit codes are those of BuildKit's
`cmd/buildctl`; what is not here is refused by name.
"""
