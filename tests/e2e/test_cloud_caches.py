"""Caches in object storage: Amazon's (moto's), Azure's (Azurite's) and GitHub's, both versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.peers import Client, buildkitd, buildkitd_binary, buildx
from tests.e2e.sandbox import CROZE, Sandbox, execute
from tests.e2e.test_build import APP, base
from tests.e2e.test_caches import COLD, NOTHING, STEPS, cached, ran
from tests.support.actions_cache import READ, WRITE, Service, actions_cache
from tests.support.clouds import ACCOUNT, ACCOUNT_KEY, BUCKET, REGION, Moto

UNIQUE = """FROM base AS build
COPY one /
RUN --mount=type=cache,id=kept,target=/kept \
  cat /one /proc/sys/kernel/random/uuid > /unique && cp /unique /kept
FROM scratch
COPY --from=build /unique /
"""
MOUNT = """FROM base
ARG STEP
RUN --mount=type=cache,id=kept,target=/kept ls /kept > /seen && touch /kept/$STEP
"""
KINDS = ("s3", "azblob", "gha-1", "gha-2")


@dataclass(frozen=True)
class Stores:
    """Where caches can be. `github`: one for each version of the API."""

    s3: Moto
    azure: str
    github: Mapping[str, Service]

    def flag(self, kind: str, name: str) -> str:
        """What stands behind `--cache-to` and `--cache-from`, but for the mode."""
        if kind == "s3":
            where = f"bucket={BUCKET},region={REGION},endpoint_url={self.s3.url}"
            return f"type=s3,{where},use_path_style=true,name={name},{self.s3.user.attrs}"
        if kind == "azblob":
            who = f"account_name={ACCOUNT},secret_access_key={ACCOUNT_KEY}"
            return f"type=azblob,account_url={self.azure},{who},name={name}"
        service = self.github[kind]
        token = service.token(("refs/heads/x", READ | WRITE), ("refs/heads/main", READ))
        where = f"url={service.url},version={kind.removeprefix('gha-')},url_v2={service.url}"
        return f"type=gha,{where},token={token},scope={name}"


@pytest.fixture(scope="module")
def stores(s3_server: Moto, azure_server: str) -> Iterator[Stores]:
    with actions_cache() as first, actions_cache() as second:
        yield Stores(s3_server, azure_server, {"gha-1": first, "gha-2": second})


@pytest.fixture(scope="module")
def app(desk: Sandbox) -> Path:
    return desk.context("app", {"Dockerfile": APP, "one": "1\n", "two": "2\n"})


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_found(
    desk: Sandbox, stores: Stores, busybox: Path, app: Path, kind: str
) -> None:
    flag = stores.flag(kind, f"found-{kind}")
    flags = [*base(busybox), "--progress=plain"]
    wrote = desk.croze("build", *flags, *NOTHING, "--cache-to", f"{flag},mode=max", app)
    assert "writing layer sha256:" in wrote.stderr
    desk.croze(*COLD)
    out = desk.path / kind
    found = desk.croze("build", *flags, "--cache-from", flag, "-o", f"type=local,dest={out}", app)
    assert ran(found.stderr) == set(), found.stderr
    assert (out / "both").read_text() == "1\n2\n"
    again = desk.croze("build", *flags, *NOTHING, "--cache-to", f"{flag},mode=max", app)
    assert "writing layer sha256:" not in again.stderr, "all of it is there"
    assert cached(again.stderr) == set(STEPS)


@pytest.mark.parametrize("kind", ["s3", "azblob", "gha-2"])
def test_cache_mounts_travel_with_it(
    desk: Sandbox, stores: Stores, busybox: Path, kind: str
) -> None:
    flag = f"{stores.flag(kind, f'mounts-{kind}')},mounts=kept"
    made, out = desk.context("mount", {"Dockerfile": MOUNT}), desk.path / f"mount-{kind}"
    for step, way in (("one", "--cache-to"), ("two", "--cache-from")):
        desk.croze(*COLD)
        flags = ["--build-arg", f"STEP={step}", "-o", str(out)]
        desk.croze("build", *base(busybox), *flags, way, flag, made)
    assert (out / "seen").read_text() == "one\n"


@pytest.fixture(scope="module")
def real(desk: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client | None]:
    """Debian's buildx on a real buildkitd, where there is one."""
    binary = buildkitd_binary()
    if binary is None:
        yield None
        return
    with buildkitd(binary, tmp_path_factory.mktemp("peer") / "d") as address:
        yield buildx("real", address, desk.env)


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_buildkit_and_ours_find_what_the_other_wrote(
    desk: Sandbox, stores: Stores, busybox: Path, real: Client | None, kind: str
) -> None:
    if real is None:
        return  # only `test_what_was_written_is_found` then
    made = desk.context("unique", {"Dockerfile": UNIQUE, "one": "1\n"})
    flags = [*base(busybox), "--progress=plain"]

    def build(ours: bool, *words: str) -> str:
        """What the build's step made up."""
        command = [CROZE] if ours else [Path(word) for word in real.command]
        out = desk.path / "unique-out"
        execute([*command, "prune", "--all", "--force"], desk.env)
        execute([*command, "build", *flags, *words, "-o", out, made], desk.env)
        return (out / "unique").read_text()

    for writer in (True, False):
        flag = stores.flag(kind, f"exchanged-{writer}")
        unique = build(writer, "--cache-to", f"{flag},mode=max,mounts=*")
        assert build(not writer, "--cache-from", flag) == unique
