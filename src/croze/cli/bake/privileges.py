"""Asking whoever runs `croze bake` for what its definition wants.

Source of texts and variables: buildx `bake/entitlements.go` (Prompt).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from croze.bake.entitlements import Privileges, Question, question
from croze.bake.errors import BakeError
from croze.gotypes.booleans import checked_bool
from croze.gotypes.quote import quote

_FILES = "BUILDX_BAKE_ENTITLEMENTS_FS"
_REMOTE_FILES = "BAKE_ALLOW_REMOTE_FS_ACCESS"


def ask(
    missing: Privileges,
    *,
    remote: bool,
    may_ask: bool = True,
    before: Callable[[], None] = lambda: None,
) -> None:
    """Ask for what is wanted, if anything is; BakeError if it is not granted. `before` is called
    first if there is something to be said.

    Without `may_ask`, as for progress that a program reads, only deletions need to be granted.
    """
    question_asked = question(missing, os.path.realpath(os.getcwd()))
    if not may_ask:
        if missing.delete:
            flag = quote("--allow=buildx.local.delete")
            raise BakeError(
                f"additional privileges requested: pass {flag} to grant requested privileges"
            )
        return
    if question_asked.is_empty:
        return
    before()
    terminal = sys.stdin.isatty()
    _show(question_asked, terminal=terminal)
    checked, chosen = _are_files_checked(remote=remote)
    if not checked and not question_asked.lines:
        return
    if checked and not chosen and question_asked.file_lines:
        _say(f"To disable filesystem entitlements checks, you can set {_FILES}=0 .\n\n")
    if terminal:
        _say("Do you want to grant requested privileges and continue? [y/N] ")
        if sys.stdin.readline().strip().lower() == "y":
            return
    raise BakeError("additional privileges requested")


def _show(question_asked: Question, *, terminal: bool) -> None:
    _say("Your build is requesting privileges for following possibly insecure capabilities:\n\n")
    _say("".join(f"{line}\n" for line in (*question_asked.lines, *question_asked.file_lines)))
    before = "In order to not see this message in the future pass" if terminal else "Pass"
    _say(f"\n{before} {quote(question_asked.all_flags)} to grant requested privileges.\n")
    words = list(sys.argv)
    words[0] = os.environ.get("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND") or words[0]
    if "bake" in words:
        at = words.index("bake") + 1
        command = " ".join((*words[:at], question_asked.all_flags, *words[at:]))
        # With nothing behind the flags, the original leaves a space there.
        command += "" if words[at:] else " "
        _say(f"\nYour full command with requested privileges:\n\n{command}\n\n")


def _are_files_checked(*, remote: bool) -> tuple[bool, bool]:
    """Whether access to files needs to be granted, and whether the environment says so."""
    checked = True
    if remote and _REMOTE_FILES in os.environ:
        checked = not _switch(_REMOTE_FILES)
    if _FILES in os.environ:
        return _switch(_FILES), True
    return checked, False


def _switch(name: str) -> bool:
    text = os.environ[name]
    return checked_bool(text, f"failed to parse {name} value {quote(text)}", BakeError)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
