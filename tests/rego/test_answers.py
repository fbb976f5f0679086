"""Our evaluator beside OPA 1.x: `data/*.json` is what OPA itself answered to these modules.

The query is `data.docker.decision`, the input `{"a": 1}`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.policy.builtins import SIGNATURES
from croze.rego.builtins.library import LIBRARY
from croze.rego.check import signatures
from croze.rego.errors import EvaluationError, RegoError
from croze.rego.functions import RegoSurroundings
from croze.rego.module_set import ModuleSet
from croze.rego.parse.module import parse_module
from croze.rego.unknowns import Missing, Partial, Unknown
from croze.rego.values import from_plain, to_plain

DATA = Path(__file__).parent / "data"

NOT_ALLOWED = ("http.send", "walk(", "opa.runtime", "io.jwt.decode", "crypto.sha256")
"""OPA has them, buildx doesn't let policies call them."""
FIRST_ONLY = " errors occurred\n"
"""Of several errors in a text we tell the first."""
OTHER_WORDS = {
    # refused by both
    'decision := x if { {"a": x} := {"a": 1, "b": 2} }',
    'decision if { {"a": x} = {"b": 2} }',
    "decision if { [x, y] = [1] }",
    "decision if is_string(1, 2)",
    # places that it has no name for
    "decision if { some x in 5; x == 1 }",
    "xs := 5\ndecision if { some x in xs; x == 1 }",
    'decision := x if { x := {"a": 1}.b }',
    "decision := [1, 2].a",
    'xs := {"a": 1}\ndecision if { xs[input.x].y }',
    'xs := {"a": 1}\ndecision if { xs[count("A")] == 1 }',
    "decision if { some x in data.docker.f }\nf(x) := 1",
    'decision := $"a{1 + "b"}"',
    # told twice
    'g(x, y) := 1\ndecision := x if { x := count("a") with count as g; x == 1 }',
    "decision := [1, 2][1:2]",
    "decision := x if { count(y) == z; y = [1]; x := z; z := 1 }",
    "decision := a b",
    "allow if not not true",
    "allow if { not some x in [1] }",
    "allow if { x := x }",
    "a[x] if { a[y]; x := y }",
    "decision := 0x10",
    "decision := 01",
    "decision := 1.",
    "decision := 'a'",
}
DIFFERENT = {
    # a wildcard in a print is refused there, and a variable that nobody uses
    'decision := 1 if { every x in [1] { not startswith(input.zz, "a") } }': None,
    "decision := [10,20][1.0]": 20,
    "xs := [1,2]\ndecision := true if { print(xs[_]) }": True,
    # numbers keep no other spelling than their value's
    "decision := json.marshal(1e21)": "1e+21",
}


def cases(name: str) -> list[dict[str, object]]:
    loaded: list[dict[str, object]] = json.loads((DATA / f"{name}.json").read_text())
    return loaded


def answered(module: str) -> dict[str, object]:
    prints: list[str] = []
    world = RegoSurroundings(10**18, lambda at, text: prints.append(f"{at}: {text}"))
    answer: dict[str, object] = {}
    try:
        modules = ModuleSet([parse_module("p.rego", module)], SIGNATURES)
        found = modules.evaluate("data.docker.decision", from_plain({"a": 1}), surroundings=world)
        assert not isinstance(found, Unknown | Partial)
        if not isinstance(found, Missing) and found is not None:
            answer["value"] = to_plain(found)
    except (RegoError, EvaluationError) as error:
        answer["error"] = str(error)
    return answer | ({"prints": prints} if prints else {})


def body(module: str) -> str:
    return module.removeprefix("package docker\n").strip("\n")


def check(case: dict[str, object]) -> None:
    module = str(case.pop("module"))
    ours = answered(module)
    theirs = str(case.get("error", ""))
    if any(name in module for name in NOT_ALLOWED):
        assert "rego_type_error: undefined function" in str(ours["error"])
    elif body(module) in DIFFERENT:
        assert ours != case
        assert ours.get("value") == DIFFERENT[body(module)]
    elif body(module) in OTHER_WORDS:
        assert "error" in ours
        assert "error" in case
    elif FIRST_ONLY in theirs:
        first = theirs.partition(FIRST_ONLY)[2]
        assert first.startswith(str(ours["error"]).removeprefix("1 error occurred: "))
    else:
        assert ours == case


@pytest.mark.parametrize("case", cases("language"), ids=lambda case: body(case["module"])[:60])
def test_the_language_is_opas(case: dict[str, object]) -> None:
    check(dict(case))


@pytest.mark.parametrize("case", cases("functions"), ids=lambda case: body(case["module"])[12:60])
def test_functions_are_opas(case: dict[str, object]) -> None:
    check(dict(case))


@pytest.mark.parametrize("case", cases("types"), ids=lambda case: body(case["module"])[:60])
def test_types_are_opas(case: dict[str, object]) -> None:
    check(dict(case))


def test_functions_take_what_they_say() -> None:
    types = {name: signatures.builtin(name) for name in LIBRARY}
    arities = {name: each and len(each.args) for name, each in types.items()}
    assert arities == {name: each.arity for name, each in LIBRARY.items()}
