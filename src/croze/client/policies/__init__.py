"""Policies of sources, on the client's side.

`enforce` has them in force while a build runs, `decide` asks for one decision, `commands` are
`policy eval` and `policy test`, `builder_images` checks the image that a builder runs. They read
`files` and ask a daemon about sources (`source_resolver`). `source_policy` are the rules of
BuildKit's own format, which go to the daemon with the build.
"""
