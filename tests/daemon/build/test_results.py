"""What a result is for."""

from __future__ import annotations

import pytest

from croze.daemon.build.results import result_platforms
from croze.errors import InvalidRequest
from croze.gateway.results import BridgeResult


def test_several_refs_that_name_no_platforms_are_refused() -> None:
    """One in a map, too: nobody says what it is for."""
    with pytest.raises(InvalidRequest, match=r"contains multiple refs without platforms mapping$"):
        result_platforms(BridgeResult(refs={"linux/amd64": None}))
    assert list(result_platforms(BridgeResult(refs={}))) == []
    assert list(result_platforms(BridgeResult())) == [""]
