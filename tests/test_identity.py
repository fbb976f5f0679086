"""Names that look as BuildKit's do."""

from __future__ import annotations

import re

from croze.identity import new_id


def test_ids_are_of_base_36_and_differ() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-z]{25}", id) for id in ids)
    assert len(set("".join(ids))) == 36
