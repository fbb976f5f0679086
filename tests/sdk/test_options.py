"""What a program asks for, as the client takes it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from croze.client.plan import SecretFrom
from croze.errors import InvalidRequest
from croze.sdk.options import BuildArguments, build_options


def test_values_become_what_the_flags_would_give() -> None:
    arguments: BuildArguments = {
        "dockerfile": Path("other"),
        "tags": ["a:1", "b"],
        "args": {"X": "1"},
        "contexts": {"lib": Path("/lib")},
        "secrets": {"token": b"word", "file": Path("/token")},
        "hosts": {"db": "10.0.0.1"},
        "provenance": False,
        "sbom": "generator=croze",
    }
    found = build_options(Path("/src"), arguments)
    assert (found.context, found.dockerfile, found.stdin) == ("/src", "other", None)
    assert found.tags == ["a:1", "b"]
    assert found.build_args == {"X": "1"}
    assert found.build_contexts == {"lib": "/lib"}
    assert found.secrets == [SecretFrom("token", value=b"word"), SecretFrom("file", path="/token")]
    assert found.add_hosts == ["db=10.0.0.1"]
    assert (found.provenance, found.sbom) == ("false", "generator=croze")


def test_a_file_is_an_archive() -> None:
    archive = io.BytesIO(b"FROM scratch\n")
    found = build_options(archive, {})
    assert (found.context, found.stdin) == ("-", archive)


def test_mistakes_are_named() -> None:
    with pytest.raises(InvalidRequest, match=r"tags must be a list of strings, such as \['app'\]"):
        build_options(".", {"tags": "app"})
    with pytest.raises(InvalidRequest, match=r"args must be a mapping of strings, and 'A': b'x'"):
        build_options(".", {"args": {"A": b"x"}})  # type: ignore[dict-item]
    with pytest.raises(InvalidRequest, match="unknown build option: tag"):
        build_options(".", {"tag": "app"})  # type: ignore[typeddict-unknown-key]


def test_every_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each changes what the client is asked for: none is accepted and dropped."""
    values: dict[str, object] = {
        **dict.fromkeys(("dockerfile", "dockerfile_text", "target", "network"), "x"),
        **dict.fromkeys(("cgroup_parent", "provenance", "sbom", "metadata_file", "iidfile"), "x"),
        **{key: {"k": "v"} for key in ("args", "contexts", "labels", "secrets", "hosts")},
        **dict.fromkeys(("no_cache", "pull", "push", "load"), True),
        "shm_size_bytes": 5,
    }
    plain = build_options(".", {})
    for name in BuildArguments.__annotations__:
        arguments = {name: values.get(name, ["x"])}
        assert build_options(".", arguments) != plain, name  # type: ignore[arg-type]
