"""Policies that want to be trouble: each ends, at once, with an error or an answer."""

from __future__ import annotations

import time

import pytest

from croze.rego.errors import EvaluationError, RegoError
from croze.rego.module_set import ModuleSet
from croze.rego.parse.module import parse_module
from croze.rego.unknowns import Missing
from tests.support.settled import settled


def evaluated(text: str) -> object:
    return ModuleSet([parse_module("p.rego", f"package docker\n{text}")]).evaluate(
        "data.docker.decision"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"decision := {'[' * 5000}{']' * 5000}",
        f"decision := {'{' * 5000}",
        f"decision := {'(' * 5000}1{')' * 5000}",
        f"decision := {'{1: ' * 1000}1{'}' * 1000}",
        f"decision := {'[1 | ' * 1000}true{']' * 1000}",
        "decision := " + "1 + " * 20_000 + "1",
        "decision := x if { " + "not " * 5000 + "true }",
    ],
)
def test_what_is_nested_too_deep_is_refused(text: str) -> None:
    with pytest.raises(RegoError):
        evaluated(text)


def test_braces_are_read_in_linear_time() -> None:
    opened, closed = '{"a": ' * 60, "}" * 60
    assert not isinstance(evaluated(f"decision := {opened}1{closed}"), Missing)


@pytest.mark.parametrize(
    "text",
    [
        "decision := numbers.range(1, 1000000000000)",
        "decision := bits.lsh(1, 1000000000000)",
        'decision := concat("x", [y | some _ in numbers.range(1, 3000); y := big])\n'
        'big := replace(sprintf("%2000d", [1]), " ", "          ")',
        'decision := to_number(sprintf("1%9000d", [1]))',
        'decision := sprintf("%1000000000d", [1]) == "1"',
        "x := bits.lsh(1, 60000)\ny := x * x\nz := y * y\nw := z * z\ndecision := w * w",
        'decision := regex.match("(a*)*b", sprintf("%5000s", ["a"])) == 1',
        'decision := regex.match("((a{100}){100}){100}", "a")',
        'decision := json.unmarshal(replace(sprintf("%9000d", [1]), " ", "["))',
        'decision := yaml.unmarshal("a: &a [x]\\nb: *a") == 1',
    ],
)
def test_functions_make_nothing_huge(text: str) -> None:
    found = evaluated(text)
    assert isinstance(found, Missing) or found is not None


def test_rules_that_go_too_deep_are_an_error() -> None:
    rules = "\n".join(f"f{i}(x) := f{i + 1}([x])" for i in range(3000))
    with pytest.raises((EvaluationError, RegoError)):
        evaluated(f"{rules}\nf3000(x) := x\ndecision := f0(1)")


DOUBLED = "\n".join(f"x{n + 1} := [x{n}, x{n}]" for n in range(60))
OBJECTS = "\n".join(f'xs contains {{"a{n}": {n}}}' for n in range(150))


@pytest.mark.parametrize(
    "text",
    [
        f"x0 := 1\n{DOUBLED}\ndecision := 1 if x60[0] == x60",
        f"decision := 1 if {{ x0 := input.a\n{DOUBLED}\nx60[0] == 5 }}",
        f"{OBJECTS}\ndecision := 1 if {{ some x in xs; x.b == 1 }}",
        f"decision := [{', '.join(['input.a'] * 2000)}] == 1",
    ],
)
def test_types_of_many_parts_are_soon_compared(text: str) -> None:
    before = time.process_time()
    settled(lambda: evaluated(text))
    assert time.process_time() - before < 10
