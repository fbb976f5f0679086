"""Build policies in Rego, as buildx evaluates them: the cases of its own suite, and more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.sandbox import Done, Sandbox
from tests.e2e.web import repository, web

HEAD = "package docker\ndefault allow = false\n"
TAIL = '\ndecision := {"allow": allow}\n'
WEB = b"from the web\n"
DENIED = "not allowed by policy: action DENY"


@dataclass(frozen=True)
class Place:
    """What builds read: an image in a registry, files and a repository on a web server."""

    image: str
    digest: str
    url: str
    commits: dict[str, str]

    def filled(self, text: str) -> str:
        for name in ("image", "digest", "url"):
            text = text.replace(f"@{name}@", str(getattr(self, name)))
        for name, commit in self.commits.items():
            text = text.replace(f"@commit:{name}@", commit)
        return text


@pytest.fixture(scope="module")
def place(
    desk: Sandbox, local_registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    image = f"{local_registry}/policy/base:v1"
    files = {"Dockerfile": 'FROM scratch\nLABEL a="1"\nENV X=y\nUSER app\nCOPY f /f\n', "f": "x"}
    context = desk.context("policy-base", files)
    metadata = context.parent / "policy-base.json"
    attest = ("--attest", "type=provenance,mode=max")
    desk.croze("build", "--push", "-t", image, *attest, "--metadata-file", metadata, context)
    digest = json.loads(metadata.read_text())["containerimage.digest"]
    folder = tmp_path_factory.mktemp("site")
    (folder / "file").write_bytes(WEB)
    commits = repository(folder)
    with web(folder, []) as url:
        yield Place(image, digest, url, commits)


def built(desk: Sandbox, name: str, files: dict[str, str], *flags: str, check: bool = True) -> Done:
    context = desk.context(name, files)
    words = ("build", "--progress=plain", "--output=type=cacheonly", *flags, ".")
    return desk.croze(*words, cwd=context, check=check)


CASES: list[tuple[str, str, str, tuple[str, ...], bool]] = [
    ("canonical", "input.image.isCanonical", "FROM @image@@@digest@", (), True),
    ("label", 'input.image.labels.a == "1"', "FROM @image@", (), True),
    ("no-label", 'input.image.labels.a == "2"', "FROM @image@", (), False),
    ("provenance", 'input.image.provenance.frontend == "dockerfile.v0"', "FROM @image@", (), True),
    ("has-provenance", "not input.image.hasProvenance", "FROM @image@", (), False),
    ("arg", 'input.env.args.P == "q"', "FROM scratch\nCOPY f /", ("--build-arg=P=q",), True),
    (
        "http-checksum",
        f'input.http.checksum == "sha256:{hashlib.sha256(WEB).hexdigest()}"',
        "FROM scratch\nADD @url@/file /",
        (),
        True,
    ),
    (
        "git-commit",
        'input.git.commit.tree != ""; input.git.commitChecksum == "@commit:second@"',
        "FROM scratch\nADD @url@/repo.git#master /",
        (),
        True,
    ),
]


@pytest.mark.parametrize(("name", "rule", "dockerfile", "flags", "allowed"), CASES, ids=lambda v: v)
def test_what_a_policy_decides(
    desk: Sandbox,
    place: Place,
    name: str,
    rule: str,
    dockerfile: str,
    flags: tuple[str, ...],
    allowed: bool,
) -> None:
    kinds = "".join(f"allow if not input.{k}\n" for k in _kinds_beside(rule))
    policy = place.filled(f"{HEAD}{kinds}allow if {{ {rule} }}{TAIL}")
    files = {"Dockerfile": place.filled(f"{dockerfile}\n"), "Dockerfile.rego": policy, "f": "x"}
    done = built(desk, f"decides-{name}", files, *flags, check=False)
    assert done.code == (0 if allowed else 1), done.output
    assert "loading policies Dockerfile.rego" in done.stderr
    assert (DENIED in done.stderr) is not allowed


def _kinds_beside(rule: str) -> list[str]:
    """The kinds of sources that a rule is about: all others are allowed."""
    return [kind for kind in ("image", "http", "git") if f"input.{kind}" in rule][:1]


def test_deny_messages_are_told(desk: Sandbox) -> None:
    policy = f'{HEAD}decision := {{"allow": allow, "deny_msg": ["because", "so there"]}}\n'
    files = {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n", "deny.rego": policy}
    done = built(desk, "messages", files, "--policy", "filename=deny.rego", check=False)
    assert done.code == 1
    assert "Policy: because\nPolicy: so there\n" in done.stderr
    assert "loading policies deny.rego" in done.stderr
    assert "policy decision for source local://dockerfile: DENY" in done.stderr


FORMS: list[tuple[tuple[str, ...], str]] = [
    (("disabled=true",), ""),
    (("filename=allow.rego",), DENIED),
    (("filename=nope.rego",), "policy file nope.rego not found"),
    (("filename=../x.rego",), "failed to stat policy file ../x.rego"),
    (("reset=true,strict=true,filename=cwd://allow.rego",), ""),
]


@pytest.mark.parametrize(("options", "problem"), FORMS, ids=lambda v: str(v)[:50])
def test_forms_of_the_flag(desk: Sandbox, options: tuple[str, ...], problem: str) -> None:
    files = {
        "Dockerfile": "FROM scratch\nCOPY Dockerfile /\n",
        "Dockerfile.rego": f"{HEAD}{TAIL}",
        "allow.rego": 'package docker\ndecision := {"allow": true}\n',
    }
    flags = [word for each in options for word in ("--policy", each)]
    done = built(desk, "forms", files, *flags, check=False)
    assert done.code == (1 if problem else 0), done.output
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("context", "problem"),
    [
        ("/nope.tgz", "failed to stat policy file Dockerfile.rego: failed to load cache key: inv"),
        (
            "/repo.git#no",
            "failed to stat policy file Dockerfile.rego: failed to load cache key: rep",
        ),
        (
            "/nope.git",
            "failed to solve: failed to read dockerfile: failed to load cache key: error",
        ),
        ("/repo.git#:no", "failed to solve: failed to read dockerfile: invalid subdir no: "),
    ],
)
def test_a_context_that_can_not_be_had(
    desk: Sandbox, place: Place, context: str, problem: str
) -> None:
    """What says that something is not found is no answer about the policy's file."""
    done = desk.croze("build", f"{place.url}{context}", check=False)
    assert f"ERROR: failed to build: {problem}" in done.stderr


def test_debug_says_what_the_policy_sees(desk: Sandbox) -> None:
    files = {
        "Dockerfile": "FROM scratch\nCOPY Dockerfile /\n",
        "Dockerfile.rego": 'package docker\ndecision := {"allow": true} if print("seen", 1)\n',
    }
    done = built(desk, "debug", files, "--policy", "log-level=debug")
    assert "policy input: {" in done.stderr
    assert '"name": "dockerfile"' in done.stderr
    assert "Dockerfile.rego:2: seen 1" in done.stderr
    quiet = built(desk, "debug", files, "--policy", "log-level=error")
    assert "seen" not in quiet.stderr


def test_pins_and_files(desk: Sandbox, place: Place) -> None:
    """A pinned image is built on by digest; `load_json` and imports read beside the Dockerfile."""
    policy = f"""{HEAD}import data.lib.pins
allow if not input.image
allow if pin_image(input.image, pins.digest){TAIL}"""
    files = {
        "Dockerfile": f"FROM {place.image}\n",
        "Dockerfile.rego": policy,
        "lib/pins.rego": 'package pins\ndigest := load_json("pins.json")[0]\n',
        "pins.json": json.dumps([place.digest]),
    }
    done = built(desk, "pins", files)
    assert f"convert to docker-image://{place.image}@{place.digest}" in done.stderr


def test_what_a_context_elsewhere_brings_along(desk: Sandbox, place: Place, tmp_path: Path) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "x"}
    files["Dockerfile.rego"] = f"{HEAD}allow if input.git{TAIL}"
    context = desk.context("elsewhere", files)
    git = ("git", "-C", str(context))
    env = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a"}
    from tests.e2e.sandbox import execute

    everybody = {**desk.env, **env, "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a"}
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "x")):
        execute((*git, *words), everybody)
    served = tmp_path / "served"
    execute(("git", "clone", "-q", "--bare", str(context), str(served / "p.git")), everybody)
    with web(served, []) as url:
        words = ("build", "--progress=plain", "--output=type=cacheonly", f"{url}/p.git#main")
        done = desk.croze(*words)
    assert "loading policies Dockerfile.rego" in done.stderr
    assert "policy decision for source git://" in done.stderr


def test_bake_has_policies(desk: Sandbox) -> None:
    files = {
        "Dockerfile": "FROM scratch\nCOPY Dockerfile /\n",
        "deny.rego": f"{HEAD}{TAIL}",
        "docker-bake.json": json.dumps(
            {
                "target": {
                    "ok": {"output": ["type=cacheonly"]},
                    "bad": {"output": ["type=cacheonly"], "policy": [{"filename": "deny.rego"}]},
                }
            }
        ),
    }
    context = desk.context("bake-policy", files)
    desk.croze("bake", "--progress=plain", "ok", cwd=context)
    done = desk.croze("bake", "--progress=plain", "bad", cwd=context, check=False)
    assert done.code == 1
    assert DENIED in done.stderr
    off = ("--policy", "disabled=true")
    desk.croze("bake", "--progress=plain", *off, "bad", cwd=context)


# -- the commands --


def test_eval_says_what_a_policy_decides(desk: Sandbox, place: Place) -> None:
    policy = f'{HEAD}allow if input.image.labels.a == "1"{TAIL}'
    deny = f'{HEAD}decision := {{"allow": false, "deny_msg": ["no", "never"]}}\n'
    context = desk.context("eval", {"policy.rego": policy, "Dockerfile.rego": deny})
    source = f"docker-image://{place.image}"
    desk.croze("policy", "eval", "--filename", "policy", source, cwd=context)
    done = desk.croze("policy", "eval", source, cwd=context, check=False)
    assert (done.code, done.stderr) == (1, "ERROR: policy denied: no; never\n")
    words = ("policy", "eval", "--file", "-", source)
    desk.croze(*words, cwd=context, stdin=policy.encode())
    shown = desk.croze("policy", "eval", "--print", "--fields", "image.labels,nope", source)
    image = json.loads(shown.stdout)["image"]
    assert image["labels"] == {"a": "1"}
    assert image["tag"] == "v1"
    assert "invalid fields: nope" in shown.stderr
    odd = desk.croze("policy", "eval", "--platform=odd", source, cwd=context, check=False)
    assert 'invalid platform "odd": "odd": unknown operating system or arch' in odd.stderr
    bad = desk.croze("policy", "eval", "nowhere", cwd=context, check=False)
    assert "invalid local path nowhere: stat nowhere: no such file or directory" in bad.stderr


def test_tests_of_policies(desk: Sandbox) -> None:
    policy = f"""{HEAD}allow if input.image.repo == "example/ok"
deny_msg[msg] if {{
	not allow
	msg := "repository required"
}}
decision := {{"allow": allow, "deny_msg": deny_msg}}
"""
    tests = """package docker
test_ok if {
	result := data.docker.decision with input as {"image": {"repo": "example/ok", "x": 1}}
	result.allow
}
test_missing if {
	result := data.docker.decision with input as {"image": {}}
	result.allow
}
"""
    context = desk.context("tests", {"policy.rego": policy, "sub/policy_test.rego": tests})
    words = ("policy", "test", "--filename", "policy")
    done = desk.croze(*words, "sub", cwd=context, check=False)
    assert done.code == 1
    assert "test_missing: FAIL (allow=false)" in done.stdout
    assert 'input:\n{\n  "image": {}\n}' in done.stdout
    assert "missing_input: input.image.repo" in done.stdout
    assert "test_ok: PASS (allow=true)" in done.stdout
    desk.croze(*words, "--run", "_ok", "sub/policy_test.rego", cwd=context)
    none = desk.croze(*words, "--run", "nope", "sub", cwd=context, check=False)
    assert (none.code, none.stderr) == (1, "ERROR: no tests found\n")
