"""One result's provenance, as options want it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from croze import llb
from croze.attest.capture import SortedCapture
from croze.attest.predicate import V02
from croze.attest.provenance import Account, BuildFacts, marshalled, parse_options
from croze.attest.requests import AttestedRequest
from croze.errors import CrozeError, MaterialsDetail, MissingMaterial
from croze.sources.materials import LocalMaterial

DEFINITION = llb.scratch().file(llb.mkdir("/a")).marshal()
START = datetime(2024, 1, 2, 3, 4, 5, 600000, UTC)


def predicate(account: Account, attrs: dict[str, str]) -> dict[str, Any]:
    options = parse_options(attrs)
    facts = BuildFacts(START, 30, "1.2", {"more": 1})
    made = account.predicate(facts, options, {}, datetime(2024, 1, 2, tzinfo=UTC))
    return dict(json.loads(marshalled(made, options.predicate_type)))


def test_what_git_knows_is_told_apart_from_the_arguments() -> None:
    opts = {
        "vcs:source": "https://t@example.com/r",
        "vcs:revision": "abc",
        "vcs:none": "",
        "x": "y",
    }
    account = Account(SortedCapture(), DEFINITION, AttestedRequest("dockerfile.v0", opts))
    for mode in ("min", "max"):
        found = predicate(account, {"mode": mode})
        metadata = found["runDetails"]["metadata"]
        assert metadata["buildkit_metadata"]["vcs"] == {
            "revision": "abc",
            "source": "https://xxxxx@example.com/r",
        }
        assert found["buildDefinition"]["externalParameters"]["request"]["args"] == {"x": "y"}
        assert metadata["startedOn"] == "2024-01-02T03:04:05.6Z"
        assert metadata["finishedOn"] == "2024-01-02T00:00:00Z"


@pytest.mark.parametrize("mode", ["min", "max"])
def test_steps_are_told_of_by_the_longer_provenance(mode: str) -> None:
    account = Account(SortedCapture(), DEFINITION)
    new = predicate(account, {"mode": mode})["buildDefinition"]["internalParameters"]
    old = predicate(account, {"mode": mode, "version": "v0.2"})
    steps = [found["buildConfig"]["llbDefinition"] for found in (new, old) if mode == "max"]
    assert [len(each) for each in steps] == ([2, 2] if mode == "max" else [])
    assert ("buildConfig" in new, "buildConfig" in old) == (mode == "max", mode == "max")


def test_nobody_asked_a_frontend() -> None:
    found = predicate(Account(SortedCapture(), DEFINITION), {"version": "v0.2"})
    assert found["invocation"]["parameters"] == {"compatibilityVersion": 30}
    assert found["metadata"]["completeness"]["parameters"] is False
    assert found["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"] is True
    assert found["invocation"]["environment"] == {"more": 1, "platform": "linux/amd64"}


def test_hermetic_is_what_has_no_network_and_only_known_materials() -> None:
    def hermetic(used: SortedCapture) -> bool:
        metadata = predicate(Account(used, DEFINITION), {})["runDetails"]["metadata"]
        return bool(metadata.get("buildkit_hermetic", False))

    assert hermetic(SortedCapture())
    assert not hermetic(SortedCapture(network=True))
    assert not hermetic(SortedCapture(incomplete=True))
    assert not hermetic(SortedCapture(locals=(LocalMaterial("context"),)))


def test_materials_that_must_be_known() -> None:
    used = SortedCapture(locals=(LocalMaterial("context"), LocalMaterial("")))
    options = parse_options({"complete-materials": "true"})
    Account(SortedCapture(), DEFINITION).check(options)
    with pytest.raises(CrozeError) as caught:
        Account(used, DEFINITION).check(options)
    text = str(caught.value)
    assert text.startswith("provenance materials are incomplete\n\n")
    assert text.endswith(
        "\n\nUncaptured local sources:\n  - context\n    reason: local_source"
        "\n  - <unnamed>\n    reason: local_source"
    )
    missing = (MissingMaterial("context", "local_source"), MissingMaterial("", "local_source"))
    assert MaterialsDetail(missing) in caught.value.details


def test_options_are_read_as_buildkit_reads_them() -> None:
    options = parse_options(
        {"mode": "full", "version": "v0.2", "inline-only": "1", "filename": "f"}
    )
    assert (options.mode, options.predicate_type) == ("max", V02)
    assert (options.inline_only, options.filename) == (True, "f")
    assert not parse_options({"inline-only": "what"}).inline_only
