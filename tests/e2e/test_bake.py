"""`croze bake`: all targets of a definition, built together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.terminal import Terminal

LINKED = """
group "default" {
  targets = ["app", "other"]
}
target "base" {
  dockerfile-inline = <<EOT
FROM scratch
COPY word /base
ENV FROM=base
EOT
}
target "app" {
  contexts = { base = "target:base" }
  dockerfile-inline = "FROM base\\nCOPY word /app\\n"
  output = ["type=local,dest=out/app"]
}
target "other" {
  dockerfile-inline = "FROM scratch\\nCOPY word /other\\n"
  output = ["type=local,dest=out/other"]
}
"""


def project(desk: Sandbox, name: str, text: str, **files: str) -> Path:
    return desk.context(name, {"docker-bake.hcl": text, "word": "a word\n", **files})


def test_targets_are_built_together_on_one_another(desk: Sandbox) -> None:
    folder = project(desk, "linked", LINKED)
    done = desk.croze("bake", "--progress=plain", "--metadata-file=meta.json", cwd=folder)
    assert (folder / "out/app/base").read_text() == "a word\n"
    assert (folder / "out/app/app").read_text() == "a word\n"
    assert (folder / "out/other/other").read_text() == "a word\n"
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["app", "other"]
    assert "[app " in done.stderr
    assert "[base " in done.stderr
    assert "[other " in done.stderr
    metadata = json.loads((folder / "meta.json").read_text())
    assert sorted(metadata) == ["app", "base", "other"]
    assert all(each["buildx.build.ref"] for each in metadata.values())


def test_a_linked_target_gives_its_configuration_too(desk: Sandbox) -> None:
    text = LINKED.replace('output = ["type=local,dest=out/app"]', 'tags = ["linked:app"]')
    folder = project(desk, "configured", text)
    desk.croze("bake", "app", "--metadata-file=meta.json", cwd=folder)
    assert json.loads((folder / "meta.json").read_text())["app"]["image.name"]
    assert "linked" in desk.croze("images").stdout


def test_the_first_failure_ends_the_rest_and_is_named(desk: Sandbox) -> None:
    text = """
group "default" { targets = ["bad", "good"] }
target "bad" { dockerfile-inline = "FROM scratch\\nCOPY missing /\\n" }
target "good" { dockerfile-inline = "FROM scratch\\nCOPY word /\\n" }
"""
    done = desk.croze("bake", cwd=project(desk, "failing", text), check=False)
    assert done.code == 1
    assert "ERROR: target bad: failed to solve: " in done.stderr


def test_one_target_has_no_prefix(desk: Sandbox) -> None:
    text = 'target "default" { dockerfile-inline = "FROM scratch\\nCOPY missing /\\n" }\n'
    done = desk.croze("bake", cwd=project(desk, "single", text), check=False)
    assert "ERROR: failed to solve: " in done.stderr


def test_a_matrix_with_patterns(desk: Sandbox) -> None:
    text = """
target "m" {
  matrix = { v = ["1", "2", "3"] }
  name = "m${v}"
  args = { V = v }
  dockerfile-inline = "FROM scratch\\nARG V\\nCOPY <<X /v\\n$V\\nX\\n"
  output = ["type=local,dest=out/${v}"]
}
"""
    folder = project(desk, "matrix", text)
    desk.croze("bake", "m*", "--set=m2.args.V=two", cwd=folder)
    found = {p.parent.name: p.read_text() for p in (folder / "out").glob("*/v")}
    assert found == {"1": "1\n", "2": "two\n", "3": "3\n"}


def test_checks_of_all_targets(desk: Sandbox) -> None:
    text = """
group "default" { targets = ["a", "b"] }
target "a" {
  description = "The first"
  dockerfile-inline = "FROM scratch\\ncopy word /\\nCOPY word /a\\n"
}
target "b" { dockerfile-inline = "FROM scratch\\nCOPY word /\\n" }
"""
    folder = project(desk, "checked", text)
    done = desk.croze("bake", "--check", cwd=folder, check=False)
    assert done.code == 1
    assert done.stdout.startswith("a\nThe first\n\n")
    assert "ConsistentInstructionCasing" in done.stdout
    assert "\n\nb\n\nCheck complete, no warnings found.\n" in done.stdout
    told = desk.croze("bake", "--call=outline,format=json", cwd=folder)
    assert sorted(json.loads(told.stdout)["target"]["a"]) == ["build", "outline"]


def test_answers_as_json(desk: Sandbox) -> None:
    """Members by name; what a check ended with is one, and a Dockerfile in the definition is known
    as such."""
    text = """
group "default" { targets = ["bad", "good"] }
target "bad" { dockerfile-inline = "FROM scratch\\nFOO bar\\n" }
target "good" { dockerfile-inline = "FROM scratch\\n" }
"""
    folder = project(desk, "answers", text)
    done = desk.croze("bake", "--call=check,format=json", cwd=folder, check=False)
    found = {k: v["check"] for k, v in json.loads(done.stdout)["target"].items()}
    assert done.code == 1
    assert all(list(each) == sorted(each) for each in found.values())
    assert found["good"]["warnings"] is None
    assert found["bad"]["error"].startswith("dockerfile parse error on line 2")
    told = desk.croze("bake", "--check", "bad", cwd=folder, check=False).stdout
    assert "\ninline:2\n" in told


def test_a_metadata_file_of_several(desk: Sandbox) -> None:
    text = """
group "default" { targets = ["warned", "asked"] }
target "warned" { dockerfile-inline = "FROM scratch\\ncopy word /\\nCOPY word /a\\n" }
target "asked" {
  call = "outline"
  dockerfile-inline = "FROM scratch\\n"
}
"""
    folder = project(desk, "told", text)
    told = {"BUILDX_METADATA_WARNINGS": "1"}
    desk.croze("bake", "--metadata-file=m.json", cwd=folder, env=told)
    found = json.loads((folder / "m.json").read_text())
    assert list(found) == ["asked", "buildx.build.warnings", "warned"]
    assert found["warned"]["buildx.build.ref"].startswith("croze/croze/")
    assert "buildx.build.ref" not in found["asked"]
    assert found["buildx.build.warnings"][0]["range"]
    refused = desk.croze("bake", "--metadata-file=/proc/nope/m.json", cwd=folder, check=False)
    message = "ERROR: invalid output path: stat /proc/nope: no such file or directory"
    assert (refused.code, refused.stderr.splitlines()[-1]) == (1, message)
    (folder / "m.json").unlink()
    desk.croze("bake", "--metadata-file=m.json", "--print", cwd=folder)
    assert not (folder / "m.json").exists()


def test_progress_tells_of_reading_and_building(desk: Sandbox) -> None:
    folder = project(desk, "told-of", LINKED)
    steps = desk.croze("bake", "--progress=plain", cwd=folder).stderr
    size = (folder / "docker-bake.hcl").stat().st_size
    first = (
        f"#1 [internal] load local bake definitions\n#1 reading docker-bake.hcl {size}B / {size}B"
    )
    assert steps.startswith(first)
    assert steps.count("[internal] load local bake definitions") == 1
    environment = {"BUILDX_BAKE_FILE": "docker-bake.hcl"}
    named = desk.croze("bake", "--print", "--progress=plain", cwd=folder, env=environment)
    assert "load local bake definitions from BUILDX_BAKE_FILE env" in named.stderr
    assert desk.croze("bake", "--print", "--progress=quiet", cwd=folder).stderr == ""
    missing = desk.croze("bake", "-f", "no.hcl", "--progress=plain", cwd=folder, check=False)
    assert "#1 DONE 0.0s\nERROR: open no.hcl: no such file or directory\n" in missing.stderr
    none = desk.croze("bake", "--set=*.contexts.x=oci-layout:///no", cwd=folder, check=False)
    assert "[internal] load local bake definitions\n#1 reading" in none.stderr
    gone = {"CROZE_HOST": "unix:///proc/nope.sock"}
    alone = desk.croze("bake", cwd=folder, env=gone, check=False).stderr
    assert alone.count("#1 DONE") == 1
    (folder / "compose.yaml").symlink_to("/proc/nope")
    assert "compose.yaml" not in desk.croze("bake", "--print", cwd=folder).stderr
    endless = desk.croze("bake", "-f", "/dev/zero", cwd=folder, check=False)
    assert endless.stderr.endswith("a definition may have up to 64 MiB\n")
    (folder / "empty.hcl").touch()
    empty = desk.croze("bake", "-f", "empty.hcl", cwd=folder, check=False)
    assert empty.stderr.endswith("ERROR: couldn't find a bake definition\n")
    wrong = desk.croze("bake", "--progress=none", cwd=folder, check=False)
    assert (wrong.code, wrong.stderr) == (1, "ERROR: invalid progress mode none\n")


OUTSIDE = """
target "default" {{
  dockerfile-inline = "FROM scratch\\nCOPY word /\\n"
  output = ["type=local,dest={outside}"]
}}
"""


def test_what_a_definition_wants_must_be_granted(desk: Sandbox, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder = project(desk, "outside", OUTSIDE.format(outside=outside))
    refused = desk.croze("bake", cwd=folder, check=False)
    assert "ERROR: additional privileges requested" in refused.stderr
    assert not outside.exists()
    desk.croze("bake", f"--allow=fs.write={tmp_path}", cwd=folder)
    assert (outside / "word").exists()


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_who_sits_at_a_terminal_is_asked(
    desk: Sandbox, tmp_path: Path, answer: str, code: int
) -> None:
    outside = tmp_path / "outside"
    folder = project(desk, "asked", OUTSIDE.format(outside=outside))
    with Terminal([str(CROZE), "bake"], desk.env, cwd=folder) as baking:
        said = baking.expect("Do you want to grant requested privileges and continue? [y/N] ")
        assert not outside.exists()
        baking.send(f"{answer}\n")
        assert baking.wait() == code
    assert "Write access to path " in said
    assert outside.exists() == (answer == "y")


def test_a_compose_file(desk: Sandbox) -> None:
    compose = "services:\n  web:\n    image: web:latest\n    build:\n      context: .\n"
    files = {"compose.yaml": compose, "Dockerfile": "FROM scratch\nCOPY word /\n", "word": "w"}
    folder = desk.context("compose", files)
    desk.croze("bake", "--load", cwd=folder)
    assert "web" in desk.croze("images").stdout


def test_a_targets_own_format_of_a_call(desk: Sandbox) -> None:
    inline = 'dockerfile-inline = "FROM scratch\\n"'
    text = f'target "default" {{\n  call = "outline,format=json"\n  {inline}\n}}\n'
    folder = project(desk, "called", text)
    answer = desk.croze("bake", "--metadata-file=told.json", cwd=folder).stdout
    assert '"sources"' in answer
    told = json.loads((folder / "told.json").read_text())["default"]
    assert set(told) == {"result.json", "result.txt", "version"}
