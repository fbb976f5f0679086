"""The examples of docs/llb.md are real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from croze import llb

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "llb.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples(example: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    found: dict[str, object] = {}
    exec(compile(example, str(DOCUMENT), "exec"), found)
    states = [each for each in found.values() if isinstance(each, llb.State)]
    states += [each.root for each in found.values() if isinstance(each, llb.Exec)]
    assert states
    for state in states:
        assert state.output is None or llb.op_blobs(state.marshal())


def test_every_public_name_is_told_of() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    functions = [name for name in llb.__all__ if name[0].islower()]
    untold = {name for name in functions if not re.search(rf"\b{name}\(", text)}
    assert untold == {
        *("definition_of", "definition_to_state", "digest_of", "head", "load", "marshal_op"),
        *("op_blobs", "source_ops"),
    }
