"""The version of all of Croze; `croze.__version__`. Imports nothing."""

VERSION = "0.1.0"
BUILDX_VERSION = f"v0.36.1+croze.{VERSION}"
"""What we are as Docker's plugin: the version of the buildx whose ways we have. Compose and the
actions of Docker for GitHub compare it, and leave out what an older buildx doesn't know."""
BUILDKIT_VERSION = f"v0.32.0+croze.{VERSION}"
"""What the daemon tells of itself, for the same reason."""
PLUGIN_NAMES = ("docker-buildx", "buildx")
"""What we are called as Docker's plugin."""
TEXT = f"croze v{VERSION}"
"""What `croze version` prints."""


def text_for(program: str) -> str:
    """What `version` prints when the program at this path runs."""
    if program.rpartition("/")[2] in PLUGIN_NAMES:
        return f"github.com/docker/buildx {BUILDX_VERSION}"
    return TEXT


def tell_if_asked(argv: "list[str]") -> None:
    """Who asks for the version asks often: nothing is imported for it, not even `os`, which would
    be a sixth of what the interpreter takes; and nothing is taken down after. Returns if that is
    not what a command line asks, or if it can't be written, which is told of elsewhere."""
    name = argv[0].rpartition("/")[2]
    if argv[1:] not in (["version"], ["--version"], ["buildx", "version"]) or name.startswith(
        "buildctl"
    ):
        return
    from posix import _exit

    try:
        print(text_for(argv[0]), flush=True)
    except OSError:
        return
    _exit(0)
