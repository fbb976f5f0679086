"""Letters as Go changes them: one for one."""

from __future__ import annotations

from croze.gotypes.letters import to_lower, to_upper


def test_each_letter_stays_one() -> None:
    assert to_lower("A\u0130\u212aΣ\u1e9e\u01c5") == "aikσß\u01c6"
    assert to_upper("aßŉ\u1fb3ıſ\u01c6") == "AßŉᾼIS\u01c4"
