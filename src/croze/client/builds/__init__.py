"""Builds from start to end: a plan, a solve, what came of it.

`build` makes one, `targets` many at once, `multinode` one on several nodes, `detached` one that
goes on without its client; `llb` builds definitions of other programs (`definitions`),
`remote_files` reads with a build of its own. `docker_features` are what a Docker engine's builder
may lack. `result` is what came of a build, `metadata` the files that tell of it.
"""
