"""Cache mounts that travel: what one machine's steps left, another's find, through every client."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.peers import buildkitd, buildkitd_binary, buildx
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


CLIENTS = [("croze", "registry"), ("sid", "local"), ("trixie", "local-index")]


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
    machine.cold()
    other, _ = (f"{value},mounts=*" for value in pair("local", machine, local_registry))
    machine.build(1, "--cache-from", from_, "--cache-to", other)
    assert machine.moved("exported")[2] > 0, "it goes on to where it was not"
    machine.cold()
    from_ = other.replace("dest=", "src=")
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


def test_wrong_attributes_are_refused(machine: Machine) -> None:
    done = machine.build(1, "--cache-to", "type=inline,mounts=*", check=False)
    assert done.code == 1
    assert "failed to solve: failed to configure inline cache exporter: cache mounts" in done.stderr
    done = machine.build(1, "--cache-from", "type=registry,ref=x,mounts=", check=False)
    assert done.code == 1
    assert "failed to configure registry cache importer: mounts requires ids" in done.stderr


def test_damaged_caches_are_done_without(machine: Machine, local_registry: str) -> None:
    to, from_ = (f"{value},mounts=tool" for value in pair("local", machine, local_registry))
    folder = machine.sandbox.path / f"cache-{machine.context.name.lower()}"
    machine.build(1, "--cache-to", to)
    for kind, (path,) in blobs_by_kind(folder).items():
        data = path.read_bytes()
        path.write_bytes(b"x" * len(data))
        machine.cold()
        machine.build(2, "--cache-from", from_)
        assert re.search(r"failed to .* cache mount.*digest", machine.log), (kind, machine.log)
        assert machine.seen == []
        path.write_bytes(data)


def test_commands(machine: Machine, local_registry: str, tmp_path: Path) -> None:
    croze = machine.sandbox.croze
    machine.build(1)
    listed = [
        json.loads(line)
        for line in croze("cache-mount", "ls", "--format=json").stdout.split("\n")[:-1]
    ]
    assert {(one["ID"], one["InUse"]) for one in listed} == {
        ("tool", False),
        ("/home/me/.cache", False),
    }
    (tool,) = json.loads(croze("cache-mount", "inspect", "tool").stdout)
    assert (tool["entries"], tool["base"]) == (2, "")
    archive = tmp_path / "mounts.tar"
    croze("cache-mount", "export", "-o", archive)
    ref = f"type=registry,ref={local_registry}/mounts/commands"
    croze("cache-mount", "export", "--to", ref, "tool")
    piped = croze("cache-mount", "export", "-o", "-", "tool").stdout
    assert "oci-layout" in piped
    assert croze("cache-mount", "rm", "tool").stdout == "tool\n"
    gone = croze("cache-mount", "inspect", "tool", check=False)
    assert (gone.code, gone.stderr) == (1, "ERROR: no such cache mount: tool\n")
    done = croze("cache-mount", "import", archive)
    assert "imported cache mount tool: 2 files, 4 bytes" in done.stderr
    assert "cache mount /home/me/.cache has all of it" in done.stderr
    machine.build(2)
    assert machine.seen == ["last", "step1"]
    croze("cache-mount", "rm", "--all")
    assert croze("cache-mount", "ls", "-q").stdout.strip() == ""
    croze("cache-mount", "import", "--from", ref)
    machine.build(3)
    assert machine.seen == ["last", "step1"]


def test_commands_that_are_refused(desk: Sandbox, tmp_path: Path) -> None:
    desk.croze(*COLD)
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as archive:
        for name, kind in (("../evil", tarfile.REGTYPE), ("index.json", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    (tmp_path / "text").write_text("text")
    for words, message in (
        (("import", other), "holds no cache mounts"),
        (("import", tmp_path / "text"), "failed to read"),
        (("import", tmp_path / "none"), "no such file or directory"),
        (("import", "--from", f"type=local,src={tmp_path}"), "there is no cache in"),
        (("import",), "requires a file, or --from"),
        (("export", "-o", tmp_path / "new"), "there are no cache mounts to export"),
        (("export", "--to", "type=inline"), "there are no cache mounts to export"),
        (("export",), "requires either --output or --to"),
        (("rm",), "requires either --all or at least one argument"),
        (("shrink",), "unknown command: croze cache-mount shrink"),
    ):
        done = desk.croze("cache-mount", *words, check=False)
        assert done.code == 1, words
        assert message in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.tar", "text"]


@pytest.mark.skipif(buildkitd_binary() is None, reason="no buildkitd")
@pytest.mark.parametrize("kind", ["registry", "local", "local-index"])
def test_a_real_buildkit_passes_them_over(
    machine: Machine, local_registry: str, kind: str, tmp_path: Path
) -> None:
    to, from_ = pair(kind, machine, local_registry)
    machine.build(1, "--cache-to", f"{to},mode=max,mounts=*")
    binary = buildkitd_binary()
    assert binary is not None
    with buildkitd(binary, tmp_path / "bk") as address:
        peer = buildx(f"peer-{kind}", address, machine.sandbox.env)
        words = [*map(str, base(machine.busybox)), "--build-arg", "STEP=1"]
        found = peer.build(tmp_path, *words, "--cache-from", from_, str(machine.context))
    assert found.error == "", found.log
    assert found.log.count("CACHED") >= 2, found.log
    assert "ERROR" not in found.log


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
