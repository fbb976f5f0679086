"""What a decision says that it needs to know."""

from __future__ import annotations

import pytest

from croze.rego.functions import RegoSurroundings
from croze.rego.module_set import ModuleSet
from croze.rego.parse.module import parse_module
from croze.rego.unknowns import Missing, Partial, Unknown
from croze.rego.values import from_plain, to_plain

UNKNOWN = [
    "input.image.labels",
    "input.image.user",
    "input.image.hasProvenance",
    "input.image.materials[0].image.labels",
]
INPUT = from_plain({"image": {"repo": "a", "materials": [{"image": {"repo": "m"}}]}})

NEEDS: list[tuple[str, set[str]]] = [
    ('allow if input.image.labels.a == "b"', {"image.labels"}),
    ('allow if { input.image.repo == "z"; input.image.labels.a == "b" }', set()),
    ('allow if { input.image.labels.a == "b"; input.image.repo == "z" }', set()),
    ('h if input.image.labels.a == "b"\nallow if { h; input.image.repo == "z" }', set()),
    ('allow if input.image.repo == "a"\nallow if input.image.labels.a == "b"', {"image.labels"}),
    ("allow if not input.image.hasProvenance", {"image.hasProvenance"}),
    ('h if input.image.labels.a == "b"\nallow if not h', {"image.labels"}),
    (
        'm contains "x" if { input.image.labels.a == "b" }\nallow if count(m) == 0',
        {"image.labels"},
    ),
    (
        'm contains sprintf("%v", [input.image.labels]) if { input.image.user == "b" }\n'
        "allow if count(m) == 0",
        {"image.labels", "image.user"},
    ),
    ("allow if input.image", set()),
    ("allow if not input.image", set()),
    ('f(i) if i.labels.a == "b"\nallow if f(input.image)', {"image.labels"}),
    ('f(i) if i.repo == "b"\nallow if f(input.image)', set()),
    ('allow if { some k; input.image.labels[k] == "b" }', {"image.labels"}),
    ('allow if "x" in input.image.labels', {"image.labels"}),
    (
        "allow if every x in input.image.labels { x == input.image.user }",
        {"image.labels", "image.user"},
    ),
    ("allow if count([x | x := input.image.labels[_]]) > 1", {"image.labels"}),
    ('x := input.image\nallow if x.labels.a == "b"', {"image.labels"}),
    ("allow if { print(input.image.labels) }", {"image.labels"}),
    (
        'h if input.image.labels.a == "b"\n'
        'allow if h with input as {"image": {"labels": {"a": "b"}}}',
        set(),
    ),
    (
        'h if input.image.labels.a == "b"\nallow if h with input.image.labels as {"a": "b"}',
        {"image.labels"},
    ),
    ("allow if { x := input.image.labels; x }", {"image.labels"}),
    ("allow if { [a, 1] = [input.image.user, 1]; a }", {"image.user"}),
    (
        'allow if input.image.user == "x" else := false if input.image.labels',
        {
            "image.labels",
            "image.user",
        },
    ),
    (
        "allow if { some m in input.image.materials; m.image.labels.a }",
        {"image.materials[0].image.labels"},
    ),
    ('allow if { some m in input.image.materials; m.image.repo == "m" }', set()),
    (
        'allow if { some i in ["labels", "user"]; input.image[i] == "b" }',
        {
            "image.labels",
            "image.user",
        },
    ),
    ("allow if input.missing.labels", set()),
]


@pytest.mark.parametrize(("rules", "needed"), NEEDS, ids=[rules[:50] for rules, _ in NEEDS])
def test_what_a_decision_needs(rules: str, needed: set[str]) -> None:
    text = f'package docker\ndefault allow = false\n{rules}\ndecision := {{"allow": allow}}'
    found = ModuleSet([parse_module("p.rego", text)]).evaluate(
        "data.docker.decision",
        INPUT,
        unknown=UNKNOWN,
        surroundings=RegoSurroundings(on_print=lambda at, text: None),
    )
    names = found.refs if isinstance(found, Unknown) else frozenset()
    assert {name for name in names if name != "image"} == needed


def test_what_needs_nothing_has_its_value() -> None:
    text = 'package docker\ndecision := {"allow": input.image.repo == "a"}'
    found = ModuleSet([parse_module("p.rego", text)]).evaluate(
        "data.docker.decision", INPUT, unknown=UNKNOWN
    )
    assert not isinstance(found, Unknown | Partial | Missing)
    assert to_plain(found) == {"allow": True}
