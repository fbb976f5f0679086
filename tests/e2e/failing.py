"""Commands that must fail."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.sandbox import Sandbox


def failing(sandbox: Sandbox, *words: str | Path, code: int = 1) -> str:
    """What a command that must fail says on stderr."""
    done = sandbox.croze(*words, check=False)
    assert done.code == code, done.output
    assert "Traceback" not in done.output
    assert "internal error" not in done.output
    return done.stderr
