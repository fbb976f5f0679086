"""Cache mounts that travel: what one machine's steps left, another's find, through every client."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import stat
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from croze.fs.bundle import format
from croze.fs.bundle.format import Index, Node
from tests.e2e.app import base
from tests.e2e.faulty import Fault, faulty_registry
from tests.e2e.peers import buildkitd, buildkitd_binary, buildx
from tests.e2e.sandbox import CROZE, Done, Sandbox
from tests.support.clouds import asked

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


@pytest.mark.parametrize("kind", ["registry", "local", "local-index"])
def test_a_real_buildkit_passes_them_over(
    machine: Machine, local_registry: str, kind: str, tmp_path: Path
) -> None:
    binary = buildkitd_binary()
    if binary is None:
        return  # only `test_another_machine_finds_them` then
    to, from_ = pair(kind, machine, local_registry)
    machine.build(1, "--cache-to", f"{to},mode=max,mounts=*")
    with buildkitd(binary, tmp_path / "bk") as address:
        peer = buildx(f"peer-{kind}", address, machine.sandbox.env)
        words = [*map(str, base(machine.busybox)), "--build-arg", "STEP=1"]
        found = peer.build(tmp_path, *words, "--cache-from", from_, str(machine.context))
        asked = ["build", "--builder", address, "--cache-from", f"{from_},mounts=*"]
        refused = machine.sandbox.croze(*asked, machine.context, check=False)
    assert "this daemon is no crozed but github.com/moby/buildkit" in refused.stderr
    assert found.error == "", found.log
    assert found.log.count("CACHED") >= 2, found.log
    assert "ERROR" not in found.log


HOSTILE: dict[str, list[Node]] = {
    "above": [Node(b"../../../../evil", stat.S_IFREG | 0o644, 0, 0, 1)],
    "through a link": [
        Node(b"out", stat.S_IFLNK | 0o777, 0, 0, 1, b"/"),
        Node(b"out/evil", stat.S_IFREG | 0o644, 0, 0, 1),
    ],
    "a device": [Node(b"disk", stat.S_IFBLK | 0o666, 0, 0, 1)],
    "through a link that is here": [
        Node(b"here", stat.S_IFDIR | 0o755, 0, 0, 1),
        Node(b"here/evil", stat.S_IFREG | 0o644, 0, 0, 1),
    ],
}


def test_hostile_caches_reach_nothing(machine: Machine, local_registry: str) -> None:
    to, from_ = (f"{value},mounts=tool" for value in pair("local", machine, local_registry))
    folder = machine.sandbox.path / f"cache-{machine.context.name.lower()}"
    victim = machine.sandbox.path / "victim"
    victim.mkdir()
    link = f"ln -sfn {victim} /cache/here && ls /cache >"
    (machine.context / "Dockerfile").write_text(APP.replace("ls /cache >", link))
    machine.build(1, "--cache-to", to)
    (index,), (listing,) = (blobs_by_kind(folder)[kind] for kind in ("tree", "cachemounts"))
    for step, (what, nodes) in enumerate(HOSTILE.items(), 2):
        root = Node(b"", stat.S_IFDIR | 0o755, 0, 0, 1)
        data = format.encode(Index((root, *nodes), ()))
        index, listing = forged(folder, index, listing, data)
        machine.build(step, "--cache-from", from_)
        if what != "through a link that is here":
            assert "failed to import cache mount tool: invalid cache mount index" in machine.log
        assert machine.seen[:2] == ["here", "last"], what
        assert "disk" not in machine.seen
        assert not list(victim.iterdir()), what
        assert not list(machine.sandbox.path.rglob("evil"))


def forged(layout: Path, index: Path, listing: Path, data: bytes) -> tuple[Path, Path]:
    """Put other bytes in an index's place, and make everything above fit."""
    new = _stored(layout, data)
    told = json.loads(listing.read_text())
    told["mounts"][0]["index"] = {"digest": _digest(new), "size": len(data)}
    told["mounts"][0]["packs"] = []
    new_listing = _stored(layout, json.dumps(told).encode())
    top = json.loads((layout / "index.json").read_text())
    manifest = json.loads((layout / "blobs/sha256" / top["manifests"][0]["digest"][7:]).read_text())
    for layer in manifest["layers"]:
        for old, made in ((index, new), (listing, new_listing)):
            if layer["digest"] == _digest(old):
                layer["digest"], layer["size"] = _digest(made), made.stat().st_size
    made = _stored(layout, json.dumps(manifest).encode())
    top["manifests"][0] |= {"digest": _digest(made), "size": made.stat().st_size}
    (layout / "index.json").write_text(json.dumps(top))
    return new, new_listing


def _stored(layout: Path, data: bytes) -> Path:
    path = layout / "blobs/sha256" / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return path


def _digest(path: Path) -> str:
    return f"sha256:{path.name}"


@pytest.mark.parametrize("broken_by", ["cancelled", "killed"])
def test_an_import_that_is_broken_off_changes_nothing(
    sandbox: Sandbox, busybox: Path, local_registry: str, broken_by: str
) -> None:
    machine = Machine(sandbox, busybox, sandbox.context("app", {"Dockerfile": APP}))
    name = f"mounts/broken-{broken_by}:cache"
    to = f"type=registry,ref={local_registry}/{name},mounts=tool"
    machine.build(1, "--target=tool", "--cache-to", to)
    machine.cold()
    machine.build(2, "--target=tool")
    with faulty_registry(local_registry) as faulty:
        faulty.faults = [Fault("stall", path=f"/blobs/{pack_of(local_registry, name)}")]
        from_ = f"type=registry,ref={faulty.host}/{name},mounts=*"
        words = ["build", *base(busybox), "--target=tool", "--build-arg=STEP=3"]
        command = [CROZE, *words, "--cache-from", from_, machine.context]
        client = subprocess.Popen(
            [str(word) for word in command], env=sandbox.env, stderr=subprocess.DEVNULL
        )
        assert faulty.stalled.wait(60)
        if broken_by == "killed":
            sandbox.stop(signal.SIGKILL)
            client.kill()  # it would wait for more to hear
            sandbox.start()
        else:
            client.send_signal(signal.SIGINT)
        client.wait(timeout=60)
    (listed,) = machine.sandbox.croze("cache-mount", "ls", "-q").stdout.split()
    assert listed == "tool"
    assert list((sandbox.root / "scratch").iterdir()) == []
    assert list((sandbox.root / "ingest").iterdir()) == []
    machine.build(4, "--target=tool", "--cache-from", to)
    assert machine.seen == ["last", "step1", "step2"]


def pack_of(registry: str, name: str) -> str:
    """The digest of the one pack beside a cache."""
    repository, _, tag = name.partition(":")
    kinds = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    url = f"http://{registry}/v2/{repository}/manifests/{tag}"
    layers = beside(json.loads(asked(url, headers=kinds)[1])["layers"])
    (pack,) = [each["digest"] for each in layers if ".pack." in each["mediaType"]]
    return pack


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
