"""Caches outside the daemon: written by one build, found by another on a daemon without any."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.app import APP, base
from tests.e2e.cached_steps import COLD, NOTHING, STEPS, cached, ran
from tests.e2e.sandbox import BUILDX, Sandbox
from tests.support.files import below

SUITES = pytest.mark.parametrize("suite", sorted(BUILDX))


def pairs(sandbox: Sandbox, registry: str, name: str) -> tuple[list[str], list[str]]:
    """Flags that write a cache, and flags that read it."""
    ref, folder = f"{registry}/cache/{sandbox.path.name}", sandbox.path / "cache"
    match name:
        case "inline":
            written = ["--cache-to", "type=inline", "-o", f"type=image,name={ref},push=true"]
            return written, ["--cache-from", ref]
        case "build-arg":
            written = ["--build-arg", "BUILDKIT_INLINE_CACHE=1", "--push", "-t", ref]
            return written, ["--cache-from", f"type=registry,ref={ref}"]
        case "local":
            written = ["--cache-to", f"type=local,dest={folder},mode=max", *NOTHING]
            return written, ["--cache-from", f"type=local,src={folder}"]
        case "local-index":
            attrs = "mode=min,image-manifest=false,tag=v1,compression=zstd"
            written = ["--cache-to", f"type=local,dest={folder},{attrs}", *NOTHING]
            return written, ["--cache-from", f"type=local,src={folder},tag=v1"]
        case "local-estargz":
            attrs = "mode=max,compression=estargz,force-compression=true"
            written = ["--cache-to", f"type=local,dest={folder},{attrs}", *NOTHING]
            return written, ["--cache-from", f"type=local,src={folder}"]
        case "registry-docker":
            written = ["--cache-to", f"type=registry,ref={ref},mode=max,oci-mediatypes=false"]
            return [*written, *NOTHING], ["--cache-from", ref]
    return ["--cache-to", f"type=registry,ref={ref},mode={name}", *NOTHING], ["--cache-from", ref]


KINDS = ("min", "max", "registry-docker", "inline", "build-arg", "local", "local-index")


@pytest.mark.parametrize(
    ("suite", "kind"),
    [
        *(("sid", kind) for kind in KINDS),
        *(("trixie", kind) for kind in ("max", "inline", "local")),
    ],
)
def test_buildx_finds_what_buildx_wrote(
    sandbox: Sandbox, busybox: Path, app: Path, local_registry: str, suite: str, kind: str
) -> None:
    write, read = pairs(sandbox, local_registry, kind)
    flags = [*base(busybox), "--progress=plain"]
    sandbox.buildx(suite, "build", *flags, *write, app)
    sandbox.croze(*COLD)
    out = sandbox.path / "out"
    found = sandbox.buildx(suite, "build", *flags, *read, "-o", f"type=local,dest={out}", app)
    assert ran(found.stderr) == set(), found.stderr
    assert (out / "both").read_text() == "1\n2\n"
    again = sandbox.buildx(suite, "build", *flags, *NOTHING, app)
    assert ran(again.stderr) == set(), "what was imported is the daemon's own"


@pytest.mark.parametrize("kind", ["min", "inline", "local", "local-estargz"])
def test_croze_finds_what_croze_wrote(
    sandbox: Sandbox, busybox: Path, app: Path, local_registry: str, kind: str
) -> None:
    write, read = pairs(sandbox, local_registry, kind)
    metadata = sandbox.path / "metadata.json"
    flags = [*base(busybox), "--progress=plain"]
    sandbox.croze("build", *flags, *write, "--metadata-file", metadata, app)
    told = json.loads(metadata.read_text())
    assert ("cache.manifest" in told) == (kind != "inline")
    sandbox.croze(*COLD)
    found = sandbox.croze("build", *flags, *read, "-o", "type=tar,dest=/dev/null", app)
    assert ran(found.stderr) == set(), found.stderr


def test_layers_of_an_imported_cache_stay_where_they_are(
    sandbox: Sandbox, busybox: Path, app: Path, local_registry: str
) -> None:
    write, read = pairs(sandbox, local_registry, "max")
    flags = [*base(busybox), "--progress=plain"]
    sandbox.croze("build", *flags, *write, app)
    sandbox.croze(*COLD)
    found = sandbox.croze("build", *flags, *read, *NOTHING, app)
    assert cached(found.stderr) == set(STEPS), found.stderr
    blobs = [p for p in below(sandbox.root) if p.parent.name == "sha256" and p.is_file()]
    assert not [p for p in blobs if p.read_bytes()[:2] == b"\x1f\x8b"], "a layer was fetched"


def test_a_changed_step_runs_on_an_imported_one(
    sandbox: Sandbox, busybox: Path, app: Path, local_registry: str
) -> None:
    (app / ".dockerignore").write_text("Dockerfile\n")
    write, read = pairs(sandbox, local_registry, "max")
    flags = [*base(busybox), "--progress=plain"]
    sandbox.croze("build", *flags, *write, app)
    sandbox.croze(*COLD)
    (app / "Dockerfile").write_text(APP.replace("cat one two", "cat two one"))
    out = sandbox.path / "out"
    found = sandbox.croze("build", *flags, *read, "-o", f"type=local,dest={out}", app)
    assert {"WORKDIR /src", "COPY . ."} <= cached(found.stderr), found.stderr
    assert (out / "both").read_text() == "2\n1\n"


@SUITES
def test_a_missing_cache_is_done_without(
    sandbox: Sandbox, busybox: Path, app: Path, local_registry: str, suite: str
) -> None:
    caches = ["--cache-from", f"{local_registry}/no/cache"]
    caches += ["--cache-from", f"type=local,src={sandbox.path}/nowhere"]
    flags = [*base(busybox), "--progress=plain", *NOTHING]
    done = sandbox.buildx(suite, "build", *flags, *caches, app)
    assert f"importing cache manifest from {local_registry}/no/cache" in done.stderr
    assert "failed to configure registry cache importer: " in done.stderr
    assert "not found" in done.stderr
    assert ran(done.stderr) == set(STEPS)


def test_several_caches_are_all_looked_into(
    sandbox: Sandbox, busybox: Path, app: Path, local_registry: str
) -> None:
    flags = [*base(busybox), "--progress=plain", *NOTHING]
    name = f"{local_registry}/several/{sandbox.path.name}"
    for target, tag in (("build", "one"), ("", "two")):
        wanted = ["--target", target] if target else []
        written = ["--cache-to", f"type=registry,ref={name}:{tag}"]
        sandbox.croze("build", *flags, *wanted, *written, app)
    sandbox.croze(*COLD)
    read = ["--cache-from", f"{name}:one", "--cache-from", f"{name}:two"]
    found = sandbox.croze("build", *flags, *read, app)
    assert cached(found.stderr) == set(STEPS), found.stderr


def test_exports_that_fail(sandbox: Sandbox, busybox: Path, app: Path) -> None:
    flags = [*base(busybox), *NOTHING]
    nowhere = "type=registry,ref=127.0.0.1:1/no/cache"
    failed = sandbox.croze("build", *flags, "--cache-to", nowhere, app, check=False)
    assert failed.code == 1
    assert "error writing layer blob" in failed.stderr
    sandbox.croze("build", *flags, "--cache-to", f"{nowhere},ignore-error=true", app)
    twice = ["--cache-to", "type=registry,ref=a/b", "--cache-to", "type=registry,ref=a/b,mode=max"]
    refused = sandbox.croze("build", *flags, *twice, app, check=False)
    assert "duplicate cache exports [registry]" in refused.stderr
    odd = ["--cache-to", f"type=local,dest={sandbox.path}/käse"]
    refused = sandbox.croze("build", *flags, *odd, app, check=False)
    assert "contains value with non-printable ASCII characters" in refused.stderr
