"""Compose files as definitions."""

from __future__ import annotations

import pytest

from croze.errors import CrozeError
from tests.bake.world import FakeWorld, printed


def test_a_service_that_builds_is_a_target() -> None:
    text = """
services:
  web:
    image: app:${TAG:-latest}
    build:
      context: ./web
      args: {A: "1", B: }
      x-bake:
        tags: [app:x]
        platforms: linux/arm64
  db:
    image: postgres
"""
    world = FakeWorld(environment={"TAG": "7", "B": "from outside"})
    found = printed({"compose.yaml": text}, world=world)
    assert found["group"]["default"]["targets"] == ["web"]
    web = found["target"]["web"]
    assert web["tags"] == ["app:x"]
    assert web["args"] == {"A": "1", "B": "from outside"}
    assert web["platforms"] == ["linux/arm64"]


def test_extends_and_include_read_other_files() -> None:
    files = {
        "base.yaml": (
            "services:\n  base:\n    build:\n      context: .\n      args: {A: base, C: c}\n"
        ),
        "more.yaml": "services:\n  more:\n    build: ./more\n",
    }
    text = """
include: [more.yaml]
services:
  web:
    extends: {file: base.yaml, service: base}
    build:
      args: {A: web}
"""
    world = FakeWorld(files=files)
    found = printed({"compose.yaml": text}, ["web", "more"], world=world)["target"]
    assert found["web"]["args"] == {"A": "web", "C": "c"}
    assert sorted(found) == ["more", "web"]


def test_a_file_that_extends_itself_ends() -> None:
    text = "services:\n  a:\n    extends: {service: b}\n  b:\n    extends: {service: a}\n"
    with pytest.raises(CrozeError):
        printed({"compose.yaml": text})


def test_anchors_that_multiply_are_refused() -> None:
    lines = ['a0: &a0 ["x","x","x","x","x","x","x","x","x"]']
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    text = "x-bomb:\n" + "".join(f"  {line}\n" for line in lines)
    with pytest.raises(CrozeError):
        printed({"compose.yaml": text + "services:\n  web:\n    build: .\n"})


def test_bytes_that_are_no_text() -> None:
    for text, problem in (
        ('services:\n  a:\n    build: "\udcff"\n', "offset 27: invalid leading UTF-8 octet"),
        ('services:\n  a:\n    build: "\udcc3("\n', "offset 28: invalid trailing UTF-8 octet"),
    ):
        with pytest.raises(CrozeError, match=f"yaml: {problem}"):
            printed({"compose.yaml": text})


def test_names_stand_for_mappings_in_a_file_over_another() -> None:
    files = {
        "compose.yaml": "services:\n  web:\n    build: .\n    depends_on: [db]\n    networks: [n]\n"
        "    dns: 1.1.1.1\n    ulimits: {nofile: 5}\n  db: {image: x}\n",
        "over.yaml": "services:\n  web:\n    depends_on: {db: {condition: service_healthy}}\n"
        "    networks: {n: {aliases: [a]}}\n    dns: [8.8.8.8]\n"
        "    ulimits: {nofile: {soft: 1, hard: 2}}\n    build: {target: t}\n",
    }
    assert printed(files)["target"]["web"]["target"] == "t"


def test_a_file_that_is_extended_is_relative_to_the_one_that_extends_it() -> None:
    files = {
        "dir/a.yaml": "services:\n  web:\n    extends: {file: b.yaml, service: base}\n",
        "dir/b.yaml": "services:\n  base:\n    build: ./web\n",
    }
    text = "services:\n  web:\n    extends: {file: dir/a.yaml, service: web}\n"
    found = printed({"compose.yaml": text}, world=FakeWorld(files=files))
    assert found["target"]["web"]["context"] == "dir/web"


def test_a_build_without_a_context_has_the_directory_of_the_project_that_is_included() -> None:
    files = {"dir/a.yaml": "services:\n  web:\n    build: {target: t}\n"}
    text = "include: [{path: dir/a.yaml, project_directory: ../other}]\n"
    found = printed({"compose.yaml": text}, ["web"], world=FakeWorld(files=files))
    assert found["target"]["web"]["context"] == "../other"


def test_files_of_variables_of_an_included_project_use_those_before() -> None:
    files = {
        "a.yaml": "services:\n  web:\n    build: ./${B}\n",
        "1.env": "A=first\nC=1\n",
        "2.env": "B=${A}-${C}\n",
    }
    text = "include: [{path: a.yaml, env_file: [1.env, /dev/null, 2.env]}]\n"
    world = FakeWorld(files=files, environment={"C": "outside"})
    found = printed({"compose.yaml": text}, ["web"], world=world)
    assert found["target"]["web"]["context"] == "first-outside"


@pytest.mark.parametrize(
    ("env_file", "message"),
    [
        ("no.env", "stat no.env: no such file or directory"),
        ("/no.env", "couldn't find env file: /no.env"),
        ("bad.env", "failed to read /project/bad.env: line 1: key cannot contain a space"),
    ],
)
def test_files_of_variables_of_an_included_project_are_told_of(env_file: str, message: str) -> None:
    world = FakeWorld(files={"a.yaml": "services: {}\n", "bad.env": "A B=1\n"})
    text = f"include: [{{path: a.yaml, env_file: {env_file}}}]\n"
    with pytest.raises(CrozeError) as caught:
        printed({"compose.yaml": text}, world=world)
    assert str(caught.value) == message


def test_variables_behind_one_that_fails_are_told_of() -> None:
    world = FakeWorld()
    with pytest.raises(CrozeError, match="required variable A is missing a value"):
        printed({"compose.yaml": 'x: "${A?} ${B} }\\n$C ${{ x }} ${D}"\n'}, world=world)
    assert [warning.split('"')[1] for warning in world.warnings] == ["C", "D"]


def test_an_external_name_is_told_of() -> None:
    world = FakeWorld()
    text = (
        "services:\n  web:\n    build: .\n    tty: 'yes'\nnetworks:\n  n: {external: {name: a}}\n"
    )
    printed({"compose.yaml": text}, world=world)
    deprecated = "networks.n: external.name is deprecated. Please set name and external: true"
    boolean = '"yes" for boolean is not supported by YAML 1.2, please use `true`'
    assert world.warnings == [boolean, deprecated] * 2


def test_env_files_see_what_the_service_has() -> None:
    text = """
services:
  web:
    build: {context: ., args: [A, B, C]}
    environment: {A: own}
    env_file: [one.env, two.env]
"""
    files = {"one.env": "A=one\nB=${A}-b\n", "two.env": "C=${B}-c\n"}
    found = printed({"compose.yaml": text}, world=FakeWorld(files=files))
    assert found["target"]["web"]["args"] == {"A": "own", "B": "own-b", "C": "own-b-c"}


def test_a_dotenv_file_that_makes_no_sense_is_named_with_what_else_is_wrong() -> None:
    world = FakeWorld(files={".env": "BAD LINE\n"})
    with pytest.raises(CrozeError) as refused:
        printed({"compose.yaml": "services: {}\n"}, world=world)
    yaml = "failed to parse compose.yaml: parsing yaml: line 1: key cannot contain a space"
    assert str(refused.value).startswith(f"{yaml}, parsing hcl: compose.yaml.hcl:1,1-9: ")
    assert printed('target "default" {}\n', world=world)["target"]


@pytest.mark.parametrize("key", ["tags", "platforms", "output", "secret", "cache-from"])
@pytest.mark.parametrize("value", ["{a: b}", "[[a]]", "[{a: b}]"])
def test_an_extension_that_is_no_list_of_texts_is_refused(key: str, value: str) -> None:
    text = f"services:\n  a:\n    build:\n      context: .\n      x-bake: {{{key}: {value}}}\n"
    with pytest.raises(CrozeError, match=f"x-bake: {key} must be a string or a list of strings"):
        printed({"compose.yaml": text})


@pytest.mark.parametrize("value", ["[a]", "a", "{a: [b]}"])
def test_an_extension_with_contexts_that_are_none_is_refused(value: str) -> None:
    text = f"services:\n  a:\n    build:\n      context: .\n      x-bake: {{contexts: {value}}}\n"
    with pytest.raises(CrozeError, match="x-bake: contexts must be a mapping of names to strings"):
        printed({"compose.yaml": text})
