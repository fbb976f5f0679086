"""`--policy`: what is read, and what several of them come to."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.policy.contract import PolicyEnv
from croze.policy.options import PolicyPlace, WantedFile, parse_option, plan_policies

BESIDE = PolicyPlace(WantedFile("Dockerfile.rego", optional=True, text="package docker"))

BAD = {
    "filename=": "invalid value filename=",
    "x=y": "invalid value x=y",
    "filename": "invalid value filename",
    "strict=": 'invalid value strict=: strconv.ParseBool: parsing "": invalid syntax',
    "reset=maybe": 'invalid value reset=maybe: strconv.ParseBool: parsing "maybe": invalid syntax',
    "log-level=loud": 'invalid value log-level=loud: not a valid logrus Level: "loud"',
}

COMES_TO: list[tuple[list[str], list[tuple[str, bool, int | None]]]] = [
    ([], [("Dockerfile.rego", False, None)]),
    (["disabled=true"], []),
    (["reset=true"], []),
    (["strict=true"], [("Dockerfile.rego", True, None)]),
    (["filename=a"], [("Dockerfile.rego", False, None), ("a", False, None)]),
    (["reset=true,filename=a,filename=b"], [("a b", False, None)]),
    (["reset=true", "strict=true,log-level=debug", "filename=a"], [("a", True, 5)]),
    (["filename=a", "log-level=WARN"], [("Dockerfile.rego", False, None), ("a", False, 3)]),
    (["strict=true", "filename=a,strict=0"], [("Dockerfile.rego", True, None), ("a", False, None)]),
]


@pytest.mark.parametrize(("text", "message"), BAD.items())
def test_what_is_no_option(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_option(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("texts", "expected"), COMES_TO, ids=lambda v: str(v)[:40])
def test_what_options_come_to(
    texts: list[str], expected: list[tuple[str, bool, int | None]]
) -> None:
    plan = plan_policies([parse_option(text) for text in texts], BESIDE, PolicyEnv(), 4)
    found = [
        (" ".join(file.name for file in each.files), each.strict, each.log_level)
        for each in (plan.policies if plan else ())
    ]
    assert found == expected


@pytest.mark.parametrize(
    "texts", [["disabled=true", "strict=true"], ["disabled=true,reset=true"]], ids=str
)
def test_disabled_is_alone(texts: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="cannot be combined"):
        plan_policies([parse_option(text) for text in texts], BESIDE, PolicyEnv(), 4)


def test_the_default_policy_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDX_DEFAULT_POLICY", "1")
    plan = plan_policies([], BESIDE, PolicyEnv(), 4)
    assert plan is not None
    assert [each.files[0].name for each in plan.policies] == [
        "buildx_default_policy.rego",
        "Dockerfile.rego",
    ]
    assert not plan.policies[0].asks_caps
    assert plan_policies([parse_option("disabled=true")], BESIDE, PolicyEnv(), 4) is None
