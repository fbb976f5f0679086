"""What is given no value, or is turned off, in definitions and by `--set`."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from croze.bake.requests import attest_flag, make_requests
from tests.bake.world import FakeWorld, printed, select


@pytest.mark.parametrize(
    ("environment", "args"), [({}, {"A": "1"}), ({"A": "2"}, {"A": "2"}), ({"A": ""}, {"A": ""})]
)
def test_set_takes_an_argument_from_the_environment(
    environment: Mapping[str, str], args: Mapping[str, str]
) -> None:
    world = FakeWorld(environment=environment)
    text = 'target "default" { args = { A = "1" } }'
    found = printed(text, sets=["default.args.A"], world=world)
    assert found["target"]["default"]["args"] == args


def test_an_argument_that_is_null_is_none() -> None:
    text = 'target "default" {\n args = { A = null, B = "" }\n labels = { C = null, D = "1" }\n}\n'
    request = make_requests(select({"docker-bake.hcl": text}))["default"]
    assert (request.args, request.labels) == ({"B": ""}, {"D": "1"})


def test_an_attestation_that_is_turned_off_says_so() -> None:
    text = (
        'target "default" {\n attest = ["type=provenance,mode=max", "type=sbom,disabled=true"]\n}'
    )
    request = make_requests(select({"docker-bake.hcl": text}))["default"]
    flags = [attest_flag(each) for each in request.attests]
    assert flags == ["type=provenance,mode=max", "type=sbom,disabled=true"]
