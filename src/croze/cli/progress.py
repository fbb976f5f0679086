"""`--progress`, as commands that build have it."""

from __future__ import annotations

import sys

from croze.cli.common import UsageError

PROGRESS = ("auto", "plain", "quiet", "rawjson", "tty")


def progress_mode(progress: str, *, quiet: bool = False, command: str = "croze build") -> str:
    """What `--progress` and `--quiet` say; `none` is quiet, too, and tells no image's id."""
    if quiet:
        if progress not in ("", "auto", "none", "quiet"):
            message = f"progress={progress} and quiet cannot be used together"
            raise UsageError(message, command)
        return "quiet"
    mode = "quiet" if progress == "none" else progress or "auto"
    if mode not in PROGRESS:
        raise UsageError(f"invalid progress mode {mode}: use {', '.join(PROGRESS)}", command)
    return mode


def resolved(mode: str) -> str:
    """The kind of progress that is shown, whoever chose it."""
    from croze.progress.display import resolve_mode

    return resolve_mode(mode, is_terminal=sys.stderr.isatty())
