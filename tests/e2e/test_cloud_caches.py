"""Caches in object storage: Amazon's (moto's), Azure's (Azurite's) and GitHub's, both versions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.app import app_context, base
from tests.e2e.cached_steps import COLD, NOTHING, STEPS, cached, ran
from tests.e2e.peers import Client, buildkitd, buildkitd_binary, buildx
from tests.e2e.sandbox import CROZE, Done, Sandbox, execute
from tests.support.actions_cache import READ, WRITE, Service, actions_cache
from tests.support.clouds import ACCOUNT, ACCOUNT_KEY, BUCKET, REGION, Moto
from tests.support.files import below

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

    def without_blobs(self, kind: str, flag: str) -> str:
        """To read a cache whose blobs are gone, but not what names them."""
        if kind not in self.github:
            return f"{flag},blobs_prefix=gone/"
        service = self.github[kind]
        with service.lock:
            for entry in service.entries:
                entry.scope = "evicted" if "blob" in entry.key else entry.scope
        return flag


@contextmanager
def opened_stores(s3_server: Moto, azure_server: str) -> Iterator[Stores]:
    with actions_cache() as first, actions_cache() as second:
        yield Stores(s3_server, azure_server, {"gha-1": first, "gha-2": second})


@pytest.fixture(scope="module")
def stores(s3_server: Moto, azure_server: str) -> Iterator[Stores]:
    with opened_stores(s3_server, azure_server) as made:
        yield made


@pytest.fixture
def own_stores(s3_server: Moto, azure_server: str) -> Iterator[Stores]:
    """Of a test that breaks off what it writes: GitHub keeps the keys of that, and takes nothing
    else for them."""
    with opened_stores(s3_server, azure_server) as made:
        yield made


@pytest.fixture(scope="module")
def app(desk: Sandbox) -> Path:
    return app_context(desk)


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
    for service in stores.github.values():
        del service.seen[:]
    found = desk.croze("build", *flags, "--cache-from", flag, "-o", f"type=local,dest={out}", app)
    for service in stores.github.values():
        asked = [line for line in service.seen if line.endswith(("/cache", "DownloadURL"))]
        assert len(asked) <= 2 + 4, "two scopes, four layers"
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


def test_secrets_stay_where_they_are(
    desk: Sandbox, own_stores: Stores, busybox: Path, app: Path
) -> None:
    """Not in the log, in records, in provenance, in the store, or in what is said of failures."""
    stores = own_stores
    token = stores.github["gha-1"].token(("refs/heads/x", READ), ends_s=1e6)
    url = stores.github["gha-1"].url
    flags = {kind: stores.flag(kind, "secret") for kind in KINDS}
    flags["refused"] = f"type=gha,url={url},version=1,token={token},scope=none"
    secrets = [ACCOUNT_KEY, stores.s3.user.secret, token]
    caches = [word for flag in flags.values() for word in ("--cache-from", flag)]
    writing = [word for flag in list(flags.values())[:4] for word in ("--cache-to", flag)]
    out = desk.path / "secrets"
    failed = desk.croze(
        "build", *base(busybox), *caches, *writing, "--cache-to", flags["refused"], app, check=False
    )
    assert failed.code == 1
    assert "no write access" in failed.stderr
    provenance = ("--provenance=mode=max", "-o", f"type=oci,dest={out}.tar")
    done = desk.croze("build", *base(busybox), *caches, *writing, *provenance, app)
    records = desk.croze("history", "ls", "--format=json").stdout
    texts = [failed.output, done.output, records, desk.log_text()]
    for reference in (json.loads(line)["ref"] for line in records.splitlines()[:2]):
        shown = desk.croze("history", "inspect", reference, "--format=json", check=False)
        logs = desk.croze("history", "logs", reference, "--progress=rawjson", check=False)
        texts += [shown.output, logs.output]
    texts.append(Path(f"{out}.tar").read_bytes().decode("latin-1"))
    texts += [
        file.read_bytes().decode("latin-1")
        for file in below(desk.root)
        if file.is_file() and ("db" in file.suffix or file.parent.name == "sha256")
    ]
    for secret in secrets:
        assert not [text for text in texts if secret in text], secret


@pytest.mark.parametrize("kind", ["s3", "gha-2"])
def test_layers_that_a_cache_has_lost_are_made_again(
    desk: Sandbox, stores: Stores, busybox: Path, app: Path, kind: str
) -> None:
    """Storage removes what is old, whatever refers to it."""
    flag = stores.flag(kind, f"lost-{kind}")
    flags = [*base(busybox), "--progress=plain"]
    desk.croze("build", *flags, *NOTHING, "--cache-to", f"{flag},mode=max", app)
    desk.croze(*COLD)
    lost = stores.without_blobs(kind, flag)
    found = desk.croze("build", *flags, "--cache-from", lost, *NOTHING, app)
    assert ran(found.stderr) == set(STEPS), found.stderr


@pytest.mark.parametrize("kind", ["gha-2"])
def test_lazy_layers_after_a_restart(
    sandbox: Sandbox, stores: Stores, busybox: Path, app: Path, kind: str
) -> None:
    """The daemon has kept no keys: what it can't fetch it does again, until it is told them."""
    flag = stores.flag(kind, f"restart-{kind}")
    flags = [*base(busybox), "--progress=plain"]
    sandbox.croze("build", *flags, *NOTHING, "--cache-to", f"{flag},mode=max", app)
    sandbox.croze(*COLD)
    lazy = sandbox.croze("build", *flags, "--cache-from", flag, *NOTHING, app)
    assert cached(lazy.stderr) == set(STEPS), lazy.stderr
    sandbox.stop()
    sandbox.start()
    told = sandbox.croze("build", *flags, "--cache-from", flag, *NOTHING, app)
    assert cached(told.stderr) == set(STEPS), told.stderr
    sandbox.stop()
    sandbox.start()
    out = sandbox.path / "out"
    again = sandbox.croze("build", *flags, "-o", f"type=local,dest={out}", app)
    assert ran(again.stderr) == set(STEPS), again.stderr
    assert (out / "both").read_text() == "1\n2\n"


def test_caches_that_can_not_be_had(
    desk: Sandbox, stores: Stores, busybox: Path, app: Path
) -> None:
    """Are done without; to write there is refused before anything is built."""
    wrong = f"type=azblob,account_url={stores.azure},account_name={ACCOUNT},secret_access_key=AAAA"
    none = {
        "type=s3,region=r": "bucket ($AWS_BUCKET) not set for s3 cache",
        "type=azblob": "failed to create azblob config: either ${BUILDKIT_AZURE_STORAGE_",
        "type=gha,token=t,url=http://127.0.0.1:1": "token is malformed: token contains an invalid",
        wrong: "failed to create container client: failed to get properties of cache container "
        f"buildkit-cache: GET {stores.azure}/buildkit-cache: RESPONSE 403",
    }
    flags = [*base(busybox), *NOTHING, "--progress=plain"]
    done = desk.croze("build", *flags, *(f"--cache-from={flag}" for flag in none), app)
    for said in none.values():
        assert said in done.stderr
    failed = desk.croze("build", *flags, f"--cache-to={wrong}", app, check=False)
    assert failed.stderr.splitlines()[-1].startswith(
        "ERROR: failed to build: failed to solve: failed to configure azblob cache exporter: "
        "failed to create container client: failed to get properties of cache container"
    )
    assert "[build" not in failed.stderr


def test_a_cache_that_can_not_be_written(
    desk: Sandbox, stores: Stores, busybox: Path, app: Path
) -> None:
    flag = stores.flag("s3", "unwritten").replace(f"bucket={BUCKET}", "bucket=nowhere")
    flags = [*base(busybox), *NOTHING]
    failed = desk.croze("build", *flags, "--cache-to", flag, app, check=False)
    assert "error writing layer blob: operation error S3: PutObject" in failed.stderr
    assert "api error NoSuchBucket" in failed.stderr
    desk.croze("build", *flags, "--cache-to", f"{flag},ignore-error=true", app)


def test_a_cache_that_lies(desk: Sandbox, busybox: Path, app: Path) -> None:
    """Layers that are not what the cache says of them fail the build, and leave nothing."""
    flags = [*base(busybox), "--progress=plain"]
    with actions_cache() as service:
        flag = f"type=gha,url_v2={service.url},token={service.token(('x', READ | WRITE))}"
        desk.croze("build", *flags, *NOTHING, "--cache-to", f"{flag},mode=max", app)
        desk.croze(*COLD)
        for entry in service.entries:
            if "blob" in entry.key and entry.data:
                entry.data = bytes([entry.data[0] ^ 1]) + entry.data[1:]
        out = ("-o", f"type=local,dest={desk.path}/lied")
        failed = desk.croze("build", *flags, "--cache-from", flag, *out, app, check=False)
        assert re.search(r"unexpected digest sha256:\S+ of blob, expected sha256:", failed.stderr)
        again = desk.croze("build", *flags, *out, app)
        assert ran(again.stderr), "what could not be had is made"
        desk.croze(*COLD)
        for entry in service.entries:
            if "index" in entry.key:
                entry.data = b'{"layers":[{"blob":"../../x","parent":-1,"annotations":{}}]}'
        done = desk.croze("build", *flags, "--cache-from", flag, *NOTHING, app)
        assert "cache layer with missing diffid" in done.stderr
        assert ran(done.stderr) == set(STEPS)


def test_caches_that_are_made_to_hurt(desk: Sandbox, busybox: Path, app: Path) -> None:
    """What is wrong with them is told, and the build goes on without, or fails: at once."""
    flags = [*base(busybox), "--progress=plain"]
    with actions_cache() as service:
        flag = f"type=gha,url_v2={service.url},token={service.token(('x', READ | WRITE))}"
        desk.croze("build", *flags, *NOTHING, "--cache-to", f"{flag},mode=max", app)
        index = next(entry for entry in service.entries if "index" in entry.key)
        made = json.loads(index.data or b"")
        layer = {**made["layers"][0], "parent": -1}
        record = next(each for each in made["records"] if "layers" in each)

        def build(config: Mapping[str, object], *more: str) -> Done:
            desk.croze(*COLD)
            index.data = json.dumps(config).encode()
            return desk.croze("build", *flags, "--cache-from", flag, *more, app, check=False)

        deep = [{**layer, "parent": place - 1} for place in range(3000)]
        many = [{"layer": 2999, "createdAt": "2026-01-01T00:00:00Z"}] * 30_000
        hurtful: list[tuple[Mapping[str, object], str]] = [
            ({**made, "layers": [{**layer, "parent": 0}]}, "invalid layer index in record"),
            ({"layers": [{**layer, "parent": 0}]}, "invalid looping record"),
            ({"records": [{"digest": "x", "inputs": [[{"link": 0}]]}]}, "invalid looping record"),
            ({"layers": [_sized(layer, -1)]}, "invalid size -1 of cache layer"),
            ({"layers": deep, "records": [{**record, "layers": many}]}, "DONE"),
        ]
        for config, words in hurtful:
            done = build(config, *NOTHING)
            assert done.code == 0
            assert words in done.stderr
            assert ran(done.stderr) == set(STEPS)
        longer = {**made, "layers": [_sized(e, _size(e) + 1) for e in made["layers"]]}
        failed = build(longer, "-o", f"type=local,dest={desk.path}/longer")
        assert failed.code == 1
        assert "short read: expected" in failed.stderr


def _size(layer: dict[str, Any]) -> int:
    size: int = layer["annotations"]["size"]
    return size


def _sized(layer: dict[str, Any], size: int) -> dict[str, Any]:
    return {**layer, "annotations": {**layer["annotations"], "size": size}}
