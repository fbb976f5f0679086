"""Files with rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.api import policy_pb2
from croze.client.flags import source_policy
from croze.errors import InvalidRequest

POLICY = policy_pb2.Policy(
    version=1,
    rules=[
        policy_pb2.Rule(
            action=policy_pb2.DENY,
            selector=policy_pb2.Selector(identifier="x", match_type=policy_pb2.EXACT),
        )
    ],
)


def test_json_and_messages(tmp_path: Path) -> None:
    file = tmp_path / "policy"
    selector = {"identifier": "x", "match_type": "EXACT"}
    rules = [{"action": "DENY", "selector": selector, "comment": "passed over"}]
    file.write_text(json.dumps({"version": 1, "rules": rules}))
    assert policy_pb2.Policy.FromString(source_policy.read(file)) == POLICY
    file.write_bytes(POLICY.SerializeToString())
    assert policy_pb2.Policy.FromString(source_policy.read(file)) == POLICY


def test_what_is_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "policy"
    with pytest.raises(InvalidRequest, match=r"failed to read policy file: .*no such file"):
        source_policy.read(file)
    file.write_text("{")
    with pytest.raises(InvalidRequest, match="failed to parse source policy"):
        source_policy.read(file)
    monkeypatch.delenv(source_policy.VARIABLE, raising=False)
    assert source_policy.from_environment() == b""


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (
            {"action": "DNEY", "selector": {"identifier": "x"}},
            'unrecognized enum ALLOW value "DNEY"',
        ),
        ({"action": 7, "selector": {"identifier": "x"}}, "invalid PolicyAction value: 7"),
        (
            {"action": "DENY", "selector": {"identifier": "x", "matchType": "regex"}},
            'unrecognized enum WILDCARD value "regex"',
        ),
        (
            {"selector": {"identifier": "x", "constraints": [{"key": "a", "condition": "NOT"}]}},
            'unrecognized enum EQUAL value "NOT"',
        ),
    ],
)
def test_word_that_is_not_known_allows_nothing(
    tmp_path: Path, rule: dict[str, object], problem: str
) -> None:
    file = tmp_path / "policy"
    file.write_text(json.dumps({"rules": [{"action": "DENY"}, rule]}))
    with pytest.raises(InvalidRequest) as raised:
        source_policy.read(file)
    assert str(raised.value) == f"failed to parse source policy: {problem}"


def test_a_file_that_holds_no_object(tmp_path: Path) -> None:
    file = tmp_path / "policy"
    file.write_text("null")
    assert source_policy.read(file) == b""
    file.write_text('[{"action": "DENY"}]')
    with pytest.raises(
        InvalidRequest, match="failed to parse source policy: a policy is an object"
    ):
        source_policy.read(file)


def test_what_is_neither_is_refused_in_words_of_json(tmp_path: Path) -> None:
    file = tmp_path / "policy"
    file.write_text("{x}")
    with pytest.raises(InvalidRequest) as caught:
        source_policy.read(file)
    assert str(caught.value) == (
        "failed to parse source policy: "
        "invalid character 'x' looking for beginning of object key string"
    )
