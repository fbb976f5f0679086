"""What files together mean: variables, merging, `--set`, links, listing."""

from __future__ import annotations

import pytest

from croze.bake.errors import BakeError
from croze.bake.printing import as_json, list_targets, list_variables
from croze.bake.project import load_definition
from croze.bake.requests import make_requests
from croze.bake.world import BakeSettings, File
from croze.sdk.bake_options import options_of
from tests.bake.world import FakeWorld, printed, select

VARIABLE = 'variable "V" {\n  type = list(number)\n  default = [1]\n}\n'
SHOWS = 'target "default" {\n  args = { x = jsonencode(V) }\n}\n'


def shown(**environment: str) -> object:
    world = FakeWorld(environment=environment)
    found = printed(VARIABLE + SHOWS, world=world)["target"]["default"]["args"]
    assert isinstance(found, dict)
    return found["x"]


def test_variables_from_the_environment_are_of_their_type() -> None:
    assert shown() == "[1]"
    assert shown(V="2,3") == "[2,3]"
    assert shown(V="1_0,0x1p4") == "[10,16]"
    assert shown(V_JSON="[4]") == "[4]"
    with pytest.raises(BakeError, match="failed to convert"):
        shown(V="a,b")


def test_the_command_line_wins_over_the_environment() -> None:
    world = FakeWorld(environment={"V": "2"})
    found = printed(VARIABLE + SHOWS, variables={"V": "9"}, world=world)
    assert found["target"]["default"]["args"] == {"x": "[9]"}


def test_later_files_add_to_earlier_ones() -> None:
    files = {
        "a.hcl": 'target "app" {\n args = { a = 1, b = 1 }\n tags = ["x"]\n}\n',
        "b.json": '{"target": {"app": {"args": {"b": "2"}, "tags": ["y"]}}}',
        "compose.yaml": "services:\n  web:\n    build: ./web\n",
    }
    found = printed(files, ["app", "web"])["target"]
    assert found["app"]["args"] == {"a": "1", "b": "2"}
    assert found["app"]["tags"] == ["y"]
    assert found["web"]["context"] == "web"


def test_later_files_add_parents() -> None:
    parents = 'target "a" { args = { x = 1, y = 1 } }\ntarget "b" { args = { y = 2 } }\n'
    files = {
        "1.hcl": parents + 'target "default" { inherits = ["a"] }\n',
        "2.hcl": 'target "default" { inherits = ["b"] }\n',
    }
    assert printed(files)["target"]["default"]["args"] == {"x": "1", "y": "2"}


@pytest.mark.parametrize(
    ("function", "call", "value"),
    [
        ("params = [a]\n result = a", "f(1)", "1"),
        ("params = [a]\n variadic_params = b\n result = a + length(b)", "f(1)", "1"),
        ("params = [a]\n variadic_params = b\n result = a + length(b)", "f(1, 2, 3)", "3"),
        ("params = [a]\n result = a", "f(1, 2)", None),
        ("params = [a]\n variadic_params = b\n result = a", "f()", None),
    ],
)
def test_a_function_takes_what_it_says(function: str, call: str, value: str | None) -> None:
    text = f'function "f" {{\n {function}\n}}\n'
    text += f'target "default" {{\n args = {{ x = {call} }}\n}}\n'
    if value is None:
        with pytest.raises(BakeError, match="function arguments"):
            printed(text)
    else:
        assert printed(text)["target"]["default"]["args"] == {"x": value}


def test_set_with_patterns_and_appending() -> None:
    text = (
        'target "ab" { tags = ["x"] }\ntarget "ac" {}\ngroup "default" { targets = ["ab", "ac"] }'
    )
    found = printed(text, sets=["a*.tags+=y", "ac.args.K=v", "*.platform=linux/arm64"])["target"]
    assert found["ab"]["tags"] == ["x", "y"]
    assert found["ac"]["args"] == {"K": "v"}
    assert found["ab"]["platforms"] == ["linux/arm64"]
    with pytest.raises(BakeError, match="could not find any target matching 'z'"):
        printed(text, sets=["z.tags=y"])


def test_only_what_is_asked_for_is_built_and_what_it_links_to() -> None:
    text = 'target "a" { contexts = { base = "target:b" } }\ntarget "b" {}\ntarget "c" {}\n'
    selection = select({"docker-bake.hcl": text}, ["a"])
    assert sorted(selection.targets) == ["a", "b"]
    assert selection.targets["b"].linked
    assert not selection.targets["a"].linked


def test_an_error_has_the_lines_it_is_about() -> None:
    with pytest.raises(BakeError) as caught:
        printed('target "default" {\n  tags = [nope]\n}\n')
    [detail] = caught.value.details
    assert getattr(detail, "filename", "") == "docker-bake.hcl"


def test_a_matrix_makes_a_group_of_its_targets() -> None:
    text = 'target "t" {\n matrix = { v = ["1.0", "2"] }\n name = "t${replace(v, ".", "-")}"\n}\n'
    found = printed(text, ["t"])
    assert found["group"]["t"]["targets"] == ["t1-0", "t2"]
    assert sorted(found["target"]) == ["t1-0", "t2"]


def test_a_matrix_without_bounds_is_refused() -> None:
    axes = ", ".join(f"a{n} = range(0, 1000)" for n in range(3))
    with pytest.raises(BakeError):
        printed(f'target "t" {{\n matrix = {{ {axes} }}\n name = "t${{a0}}"\n}}\n', ["t"])


def test_groups_that_double_at_each_level_are_resolved_at_once() -> None:
    levels = 60
    groups = [f'group "g{n}" {{ targets = ["g{n + 1}", "g{n + 1}"] }}' for n in range(levels)]
    text = "\n".join([*groups, f'target "g{levels}" {{}}', ""])
    assert list(printed(text, ["g0"])["target"]) == [f"g{levels}"]


def test_targets_that_inherit_twice_at_each_level_are_resolved_at_once() -> None:
    levels = 40
    targets = [f'target "t{n}" {{ inherits = ["t{n + 1}", "t{n + 1}"] }}' for n in range(levels)]
    text = "\n".join([*targets, f'target "t{levels}" {{ args = {{ x = 1 }} }}', ""])
    assert printed(text, ["t0"])["target"]["t0"]["args"] == {"x": "1"}


def test_long_chains_of_targets_are_resolved_without_recursion() -> None:
    chain = "".join(f'target "t{n}" {{ inherits = ["t{n - 1}"] }}\n' for n in range(1, 1500))
    links = "".join(
        f'target "l{n}" {{ contexts = {{ b = "target:l{n - 1}" }} }}\n' for n in range(1, 500)
    )
    text = f'target "t0" {{ args = {{ A = "1" }} }}\ntarget "l0" {{}}\n{chain}{links}'
    found = printed(text, ["t1499", "l499"])["target"]
    assert found["t1499"]["args"] == {"A": "1"}
    assert len(found) == 501


def test_members_are_printed_in_buildx_order() -> None:
    text = """
target "default" {
  output = ["type=local,dest=x"]
  target = "t"
  args = { B = "1", A = "2" }
  secret = ["id=s,env=E"]
}
"""
    found = printed(text)["target"]["default"]
    assert list(found) == ["context", "dockerfile", "args", "target", "secret", "output"]
    assert list(found["args"]) == ["A", "B"]  # type: ignore[call-overload]


def test_lists_of_nothing_are_null_as_from_buildx() -> None:
    listed = {}
    for name, text in (("a.hcl", 'target "_private" {}'), ("c.yaml", "services: {}")):
        definition = load_definition([File(name, text.encode())], BakeSettings(), FakeWorld())
        listed[name] = (as_json(list_targets(definition)), as_json(list_variables(definition)))
    assert listed == {"a.hcl": ("null", "[]"), "c.yaml": ("null", "null")}


def test_an_agent_without_an_id_is_the_default_one() -> None:
    selection = select({"docker-bake.hcl": 'target "default" {\n  ssh = [{}]\n}\n'})
    assert options_of(make_requests(selection)["default"]).ssh == ["default"]


def test_a_reference_sees_what_later_blocks_of_the_name_have_added() -> None:
    first, second = 'target "x" {\n  tags = ["t"]\n}\n', 'target "x" {\n  args = { A = "1" }\n}\n'
    user = 'target "default" {\n  args = { B = target.x.args.A }\n}\n'
    assert printed(first + second + user)["target"]["default"]["args"] == {"B": "1"}
    with pytest.raises(BakeError, match="This value is null"):
        printed(second + user + first)
