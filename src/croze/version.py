"""The version of all of Croze; `croze.__version__`. Imports nothing."""

VERSION = "0.1.0"
TEXT = f"croze v{VERSION}"
"""What `croze version` prints."""


def tell_if_asked(argv: "list[str]") -> None:
    """Who asks for the version asks often: nothing is imported for it, not even `os`, which would
    be a sixth of what the interpreter takes; and nothing is taken down after. Returns if that is
    not what a command line asks, or if it can't be written, which is told of elsewhere."""
    name = argv[0].rpartition("/")[2]
    if argv[1:] not in (["version"], ["--version"]) or name.startswith("buildctl"):
        return
    from posix import _exit

    try:
        print(TEXT, flush=True)
    except OSError:
        return
    _exit(0)
