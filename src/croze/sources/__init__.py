"""Where bytes come from: images and their blobs, OCI layouts, git, http, local directories.

`contract` says what a source promises; `image`, `blob`, `git`, `http` and `local` keep it, each
with what is its own beside it or, of `git` and `local`, in a folder. Images by name are `images`,
their bytes, wherever they are, `content`; `materials` is what provenance says of each.
"""
