"""`shell.json`: word expansion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from croze.dockerfile.shell import ShellLex
from croze.errors import CrozeError
from tests.golden.case import Case
from tests.golden.difference import differences


def cases(folder: Path) -> Iterator[Case]:
    path = folder / "shell.json"
    if not path.is_file():
        return
    for index, entry in enumerate(json.loads(path.read_bytes())):
        name = f"[{index}] {entry['word']!r} in {entry['env']}"
        yield Case("shell", name, partial(_check, entry))


def _check(entry: dict[str, Any]) -> list[str]:
    return differences(entry["want"], answer(entry))


def answer(entry: dict[str, Any]) -> dict[str, Any]:
    """What the lexer makes of an entry, in the form of its `want`."""
    flags = entry.get("flags", {})
    names = set(flags) if isinstance(flags, list) else {k for k, v in flags.items() if v}
    lex = ShellLex(
        entry["escape"],
        raw_quotes="raw_quotes" in names,
        raw_escapes="raw_escapes" in names,
        skip_process_quotes="skip_process_quotes" in names,
        skip_unset="skip_unset_env" in names,
    )
    try:
        found = lex.expand(entry["word"], entry["env"])
    except CrozeError as err:
        return {"word_error": str(err), "words_error": str(err)}
    return {
        "word": found.result,
        "words": list(found.words),
        "matched": sorted(found.matched),
        "unmatched": sorted(found.unmatched),
    }
