"""Whatever a definition holds: targets or one clear error, soon, the same twice, and nothing worse.

Bounded for CI; `CROZE_FUZZ=50` tries fifty times as much, with new seeds.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croze.bake.options.fields import fields
from tests.bake.world import FakeWorld, printed
from tests.support.settled import settled

FACTOR = int(os.environ.get("CROZE_FUZZ", "1"))
SLOW_S = 5.0


def effort(examples: int) -> settings:
    return settings(
        max_examples=examples * FACTOR,
        deadline=2000,
        derandomize=FACTOR == 1,
        suppress_health_check=[HealthCheck.too_slow],
    )


HCL_WORDS = (
    *("target", '"default"', "group", "variable", "function", "{", "}", "[", "]", "(", ")", "\n"),
    *("args", "default", "targets", "params", "result", "matrix", "name", "inherits", "contexts"),
    *("=", "==", "=>", "?", ":", "...", ".", ",", "*", "-", "!", "&&", "||", "%", "/", "<", ">="),
    *("for", "in", "if", "null", "true", "a", "k", "v", "1", "0.5", "1e9", "target.default.args"),
    *('"', '"x"', "${", "%{", "~}", "~", "<<E\n", "<<-E\n", "\nE\n", "$${", "\\", "\\u00e9", "é"),
    *("upper(a)", "jsonencode(", "format(", '"%s"', "range(9)", "[*]", ".*", "# c", "/* c */"),
    *(
        "%{if a}",
        "%{endif}",
        "%{for k in v}",
        "%{endfor}",
        "%{else}",
        "\t",
        "\0",
        "\ufeff",
        "👨‍👩‍👧",
    ),
)
YAML_WORDS = (
    *("services:\n", "  web:\n", "    build: .\n", "    build:\n", "      args:\n", "      "),
    *("context: x", "dockerfile_inline: |\n", "A: 1", "- A=1", "\n", "&a ", "*a", "<<: *a", "- "),
    *("extends: web", "include: [x.yaml]", "profiles: [p]", "x-bake:\n", "tags: [a]", "secrets:"),
    *("${A}", "${A:-b}", "${A:?m}", "${", "$$", "{", "}", "[", "]", ": ", "'", '"', "!!str ", "~"),
    *("env_file: .env", "image: i", "additional_contexts:", "web: service:web", "null", "0x1f"),
)
JSON_WORDS = (
    *("{", "}", "[", "]", ",", ":", '"target"', '"default"', '"args"', '"x"', '"${a}"', '"${"'),
    *(
        "1",
        "-",
        "1.5e3",
        "true",
        "null",
        '"//"',
        '"\\u12"',
        '"',
        " ",
        "\n",
        '"variable"',
        '"group"',
    ),
)
PROJECT = 'target "default" {{\n  args = {{ x = {} }}\n}}\na = "b"\nv = [1, "2", {{ k = null }}]\n'


def ends_well(files: dict[str, str], sets: tuple[str, ...] = ()) -> None:
    """In targets, which are those that they say themselves when they are printed; or refused."""
    world = FakeWorld(environment={"A": "${A}"}, files={"x.yaml": "services: {}\n", ".env": "A=1"})
    shown = settled(lambda: printed(files, sets=sets, world=world))
    if isinstance(shown, dict) and shown.get("target"):
        text = json.dumps({"target": shown["target"]})
        if not TEMPLATE.search(text):
            again = printed({"docker-bake.json": text}, list(shown["target"]))
            assert again["target"] == shown["target"]


TEMPLATE = re.compile("[$%]")
"""What is printed is read as a template again, and may be one."""


def words(*names: str) -> st.SearchStrategy[str]:
    some = st.one_of(st.sampled_from(names), st.text(max_size=3))
    return st.lists(some, max_size=40).map(" ".join) | st.lists(some, max_size=25).map("".join)


@effort(300)
@given(words(*HCL_WORDS))
def test_any_file_is_evaluated_or_refused(text: str) -> None:
    ends_well({"docker-bake.hcl": text})


@effort(400)
@given(words(*HCL_WORDS))
def test_any_expression_is_evaluated_or_refused(text: str) -> None:
    ends_well({"docker-bake.hcl": PROJECT.format(text)})


@effort(300)
@given(words(*HCL_WORDS))
def test_any_template_is_evaluated_or_refused(text: str) -> None:
    ends_well({"docker-bake.hcl": PROJECT.format(f'"{text}"')})
    ends_well({"docker-bake.hcl": PROJECT.format(f"<<-END\n{text}\nEND\n")})


@effort(200)
@given(words(*JSON_WORDS))
def test_any_json_is_evaluated_or_refused(text: str) -> None:
    ends_well({"docker-bake.json": text})
    ends_well({"docker-bake.json": f'{{"target": {{"default": {{"args": {{"x": {text}}}}}}}}}'})


@effort(200)
@given(words(*YAML_WORDS))
def test_any_compose_file_is_evaluated_or_refused(text: str) -> None:
    ends_well({"compose.yaml": text})
    ends_well({"compose.yaml": f"services:\n  web:\n    build:\n      args:\n        x: {text}\n"})


@effort(100)
@given(
    st.lists(words("default", "*", "[", ".", "args", "x", "=", "+=", "tags", "\\", ","), max_size=3)
)
def test_any_override_is_evaluated_or_refused(sets: list[str]) -> None:
    ends_well({"docker-bake.hcl": 'target "default" {}'}, tuple(sets))


@effort(100)
@given(words('"', ",", "a=b", "type=local", " "))
def test_any_fields(text: str) -> None:
    assert settled(lambda: fields(text))


def _of(text: str) -> dict[str, str]:
    return {"docker-bake.hcl": PROJECT.format(text)}


N = 20_000
HOSTILE: dict[str, Callable[[], dict[str, str]]] = {
    "an unclosed comment": lambda: {"docker-bake.hcl": "/*" * N},
    "unclosed templates": lambda: _of('"${"${' * N),
    "many strings": lambda: _of("[" + '"a",' * N + "]"),
    "quotes": lambda: _of('"' * N),
    "a long heredoc": lambda: _of("<<-E\n" + " a\n" * N + "E\n"),
    "a heredoc without an end": lambda: _of("<<-E\n" + " E x\n" * N),
    "long identifiers": lambda: _of("a" * N * 10),
    "additions": lambda: _of("1" + " + 1" * N),
    "conditionals": lambda: _of("true ? 1 : " * N + "1"),
    "negations": lambda: _of("!" * N + "true"),
    "members": lambda: _of("a" + ".b" * N),
    "splats": lambda: _of("v" + "[*]" * N),
    "digits": lambda: _of("9" * N * 5),
    "a large exponent": lambda: _of("1e999999999"),
    "a large power": lambda: _of("pow(10, 1000000000)"),
    "combining marks": lambda: _of('"' + "a" + "\u0301" * N * 5 + '"'),
    "flags of countries": lambda: _of('"' + "\U0001f1e6" * N + '"'),
    "lines": lambda: {"docker-bake.hcl": "\n" * N * 10 + "x"},
    "attributes": lambda: {"docker-bake.hcl": "".join(f"a{n} = a{n - 1}\n" for n in range(1, N))},
    "many blocks of a name": lambda: {"docker-bake.hcl": 'target "default" {}\n' * 2000},
    "functions of functions": lambda: _of("upper(" * 70 + '"a"' + ")" * 70),
    "texts that double": lambda: {
        "docker-bake.hcl": 'a0 = "xxxxxxxxxxxxxxxx"\n'
        + "".join(f'a{n} = "${{a{n - 1}}}${{a{n - 1}}}"\n' for n in range(1, 60))
        + 'target "default" { args = { x = a59 } }\n'
    },
    "lists that double": lambda: {
        "docker-bake.hcl": "a0 = [1]\n"
        + "".join(f"a{n} = concat(a{n - 1}, a{n - 1})\n" for n in range(1, 60))
        + 'target "default" { args = { x = jsonencode(a59) } }\n'
    },
    "a regular expression": lambda: _of('regex("(a*)*b", "' + "a" * 5000 + '")'),
    "a wide format": lambda: _of('format("%999999999d", 1)'),
    "a replacement that grows": lambda: _of(f'replace("{"a" * 5000}", "a", "{"b" * 5000}")'),
    "json in json": lambda: {"docker-bake.json": '{"target":' * 5000},
    "arrays in json": lambda: {"docker-bake.json": "[" * N},
    "yaml flows": lambda: {"compose.yaml": "services: " + "[" * 5000},
    "yaml keys": lambda: {
        "compose.yaml": "services:\n" + "".join(f"  s{n}: {{}}\n" for n in range(2000))
    },
    "substitutions": lambda: {"compose.yaml": "services:\n  a:\n    build: " + "${A:-" * 5000},
    "dollars": lambda: {"compose.yaml": "services:\n  a:\n    build: " + "$" * N},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_soon(name: str) -> None:
    files = HOSTILE[name]()
    before = time.process_time()
    ends_well(files)
    assert time.process_time() - before < SLOW_S
