"""Cache mounts that travel: what one machine's steps left, another's find, through every client."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.sandbox import Done, Sandbox
from tests.e2e.test_build import base

APP = """\
FROM base AS tool
ARG STEP=1
RUN --mount=type=cache,id=tool,target=/cache \
    ls /cache > /seen && echo $STEP > /cache/step$STEP && cp /cache/step$STEP /cache/last
FROM base AS owned
ARG STEP=1
RUN --mount=type=cache,target=/home/me/.cache,uid=1000,gid=1000,mode=0700,sharing=locked \
    ls -ln /home/me/.cache > /owned && echo $STEP > /home/me/.cache/step$STEP \
    && stat -c '%u:%g:%a' /home/me/.cache > /owner
FROM base
COPY --from=tool /seen /seen
COPY --from=owned /owned /owner /
"""
COLD = ("prune", "--all", "--force")


@dataclass
class Machine:
    """A daemon; `cold` makes it another one that knows nothing."""

    sandbox: Sandbox
    busybox: Path
    context: Path
    builds: int = 0
    log: str = ""
    extra: tuple[str, ...] = field(default=())

    def build(self, step: int, *flags: str, client: str = "croze", check: bool = True) -> Done:
        self.builds += 1
        words: list[str | Path] = ["build", *base(self.busybox), "--progress=plain"]
        words += ["--build-arg", f"STEP={step}", "-o", f"type=local,dest={self.out}", *flags]
        run = self.sandbox.croze if client == "croze" else None
        words.append(self.context)
        done = (
            run(*words, check=check)
            if run is not None
            else self.sandbox.buildx(client, *words, check=check)
        )
        self.log = done.stderr
        return done

    @property
    def out(self) -> Path:
        return self.sandbox.path / f"out{self.builds}"

    @property
    def seen(self) -> list[str]:
        return (self.out / "seen").read_text().split()

    @property
    def owned(self) -> str:
        return (self.out / "owned").read_text()

    def cold(self) -> None:
        self.sandbox.croze(*COLD)

    def moved(self, what: str, name: str = "tool") -> list[int]:
        """The numbers in what the log says was exported or imported."""
        line = re.search(rf"{what} cache mount {re.escape(name)}: (.*)", self.log)
        assert line is not None, self.log
        return [int(number) for number in re.findall(r"\d+", line[1])]


@pytest.fixture
def machine(desk: Sandbox, busybox: Path, request: pytest.FixtureRequest) -> Machine:
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    made = Machine(desk, busybox, desk.context(name, {"Dockerfile": APP}))
    made.cold()
    return made


def pair(kind: str, machine: Machine, registry: str) -> tuple[str, str]:
    """The values of `--cache-to` and `--cache-from`."""
    name = machine.context.name.lower()
    folder = machine.sandbox.path / f"cache-{name}"
    match kind:
        case "local":
            return f"type=local,dest={folder}", f"type=local,src={folder}"
        case "local-index":
            return (
                f"type=local,dest={folder},image-manifest=false,tag=v1",
                f"type=local,src={folder},tag=v1",
            )
    ref = f"type=registry,ref={registry}/mounts/{name}"
    return f"{ref},mode=max", ref


CLIENTS = [("croze", "registry"), ("croze", "local"), ("croze", "local-index")]
CLIENTS += [("sid", "registry"), ("trixie", "local")]


@pytest.mark.parametrize(("client", "kind"), CLIENTS)
def test_another_machine_finds_them(
    machine: Machine, local_registry: str, client: str, kind: str
) -> None:
    to, from_ = (f"{value},mounts=*" for value in pair(kind, machine, local_registry))
    machine.build(1, "--cache-to", to, client=client)
    assert machine.seen == []
    machine.cold()
    machine.build(2, "--cache-from", from_, "--cache-to", to, client=client)
    assert machine.seen == ["last", "step1"]
    assert re.fullmatch(r"(?s)total.*\b0 +0 .* step1\n", machine.owned), machine.owned
    assert (machine.out / "owner").read_text() == "1000:1000:700\n"
    files, size, _ = machine.moved("imported")
    assert (files, size) == (2, 4)
    machine.cold()
    machine.build(3, "--cache-from", from_, client=client)
    assert machine.seen == ["last", "step1", "step2"]


def test_only_what_was_asked_for_travels(machine: Machine, local_registry: str) -> None:
    to, from_ = pair("registry", machine, local_registry)
    machine.build(1, "--cache-to", f"{to},mounts=tool")
    machine.cold()
    machine.build(2, "--cache-from", f"{from_},mounts=*")
    assert machine.seen == ["last", "step1"]
    assert "step1" not in machine.owned
    machine.build(1, "--cache-to", f"{to},mounts=tool,/home/me/.cache")
    machine.cold()
    machine.build(2, "--cache-from", f"{from_},mounts=/home/me/.cache;nothing")
    assert machine.seen == []
    assert "step1" in machine.owned
    machine.cold()
    machine.build(3, "--cache-from", from_)
    assert machine.seen == []


def test_an_upload_sends_what_changed(machine: Machine, local_registry: str) -> None:
    to, from_ = (f"{v},mounts=tool" for v in pair("registry", machine, local_registry))
    big = "RUN --mount=type=cache,id=tool,target=/cache head -c 3000000 /dev/urandom > /cache/big\n"
    (machine.context / "Dockerfile").write_text(f"FROM base AS big\n{big}{APP}")
    machine.build(1, "--target=big", "--cache-to", to)
    machine.build(2, "--cache-to", to)
    _, size, sent, packed = machine.moved("exported")
    assert size > 3_000_000
    assert sent < 2_000, "not what was there"
    assert packed > 3_000_000
    machine.cold()
    machine.build(3, "--cache-from", from_, "--cache-to", to)
    _, size, sent, packed = machine.moved("exported")
    assert size > 3_000_000
    assert sent < 2_000, "nor what came from there"


def test_the_newest_of_each_file_is_kept(machine: Machine, local_registry: str) -> None:
    to, from_ = (f"{value},mounts=*" for value in pair("local", machine, local_registry))
    machine.build(1, "--cache-to", to)
    machine.cold()
    machine.build(2)
    (machine.context / "Dockerfile").write_text(APP.replace("ls /cache >", "cat /cache/* >"))
    machine.build(3, "--cache-from", from_)
    assert machine.seen == ["2", "1", "2"], "last, step1, step2"
    again = machine.build(4, "--cache-from", from_)
    assert "imported cache mount" not in again.stderr, "it is known"


def test_steps_that_do_not_run_lose_nothing(machine: Machine, local_registry: str) -> None:
    to, from_ = (f"{value},mounts=*" for value in pair("registry", machine, local_registry))
    machine.build(1, "--cache-to", to)
    machine.cold()
    machine.build(1, "--cache-from", from_, "--cache-to", to)
    assert "imported cache mount" not in machine.log
    assert machine.moved("exported")[2] == 0
    other, other_from = f"{to}-other".replace(",mounts=*-other", "-other,mounts=*"), from_
    machine.build(1, "--cache-from", other_from, "--cache-to", f"{to},mode=max")
    assert other
    machine.cold()
    machine.build(2, "--cache-from", from_)
    assert machine.seen == ["last", "step1"]


def test_steps_that_ignore_the_cache_start_empty(machine: Machine, local_registry: str) -> None:
    to, from_ = (f"{value},mounts=*" for value in pair("local", machine, local_registry))
    machine.build(1, "--cache-to", to)
    machine.build(2, "--no-cache", "--cache-from", from_, "--cache-to", to)
    assert machine.seen == []
    machine.cold()
    machine.build(3, "--cache-from", from_)
    assert machine.seen == ["last", "step2"]


def test_names_and_limits(machine: Machine, local_registry: str) -> None:
    to, from_ = pair("local", machine, local_registry)
    machine.build(1, "--cache-to", f"{to},mounts=tol")
    assert 'no step has a cache mount "tol" to export (there are: ' in machine.log
    assert '"tool"' in machine.log
    assert '"/home/me/.cache"' in machine.log
    machine.build(2, "--cache-to", f"{to},mounts=*,mounts-max-size=3")
    assert len(re.findall(r"cache mount .* is not exported: it has 4 bytes", machine.log)) >= 1
    machine.build(1, "--cache-to", f"{to},mounts=*")
    machine.cold()
    machine.build(3, "--cache-from", f"{from_},mounts=tool,mounts-max-size=3")
    assert "failed to import cache mount tool: its files have" in machine.log
    assert machine.seen == []


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--cache-to", "type=inline,mounts=*", "cache mounts can't be in an image"),
        ("--cache-to", "type=local,dest={},mounts=", "requires ids of cache mounts, or *"),
        ("--cache-to", "type=local,dest={},mounts-max-size=1", "no meaning without mounts"),
        ("--cache-to", "type=local,dest={},mounts=*,mounts-max-size=x", "parse mounts-max-size"),
        ("--cache-from", "type=registry,ref=x,mounts=", "configure registry cache importer"),
    ],
)
def test_wrong_attributes_are_refused(
    machine: Machine, flag: str, value: str, message: str
) -> None:
    done = machine.build(1, flag, value.format(machine.sandbox.path / "none"), check=False)
    assert done.code == 1
    assert message in done.stderr


def test_damaged_and_hostile_caches_are_done_without(machine: Machine, local_registry: str) -> None:
    to, from_ = (f"{value},mounts=*" for value in pair("local", machine, local_registry))
    folder = machine.sandbox.path / f"cache-{machine.context.name.lower()}"
    machine.build(1, "--cache-to", to)
    kinds = blobs_by_kind(folder)
    for kind in ("pack", "index", "cachemounts"):
        for path in kinds[kind]:
            data = path.read_bytes()
            path.write_bytes(b"x" * len(data))
            machine.cold()
            done = machine.build(2, "--cache-from", from_)
            assert "cache mount" in done.stderr
            assert "digest" in done.stderr, done.stderr
            assert machine.seen == [] or "step1" not in machine.owned
            path.write_bytes(data)
    machine.cold()
    machine.build(3, "--cache-from", from_)
    assert machine.seen == ["last", "step1"]


def blobs_by_kind(layout: Path) -> dict[str, list[Path]]:
    """What lies beside a cache in a layout, by kind."""
    found: dict[str, list[Path]] = {}
    blobs = layout / "blobs/sha256"
    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        manifest = json.loads((blobs / entry["digest"][7:]).read_text())
        for layer in beside(manifest["layers"]):
            kind = layer["mediaType"].removeprefix("application/vnd.croze.").split(".")
            name = kind[1] if kind[0] == "cachemount" else kind[0]
            found.setdefault(name, []).append(blobs / layer["digest"][7:])
    return found


def beside(layers: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    return [each for each in layers if each["mediaType"].startswith("application/vnd.croze.")]
