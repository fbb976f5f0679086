"""Where bytes come from: images and their blobs, OCI layouts, git, http, local directories.

`contract` says what a source promises; `image`, `blob`, `git`, `http` and `local` keep it, each
with modules of its own name (`git_*`, `http_options`, `local_*`). Images by name are `images`,
their bytes, wherever they are, `content`; `materials` is what provenance says of each.
"""
