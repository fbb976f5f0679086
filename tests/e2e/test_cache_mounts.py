"""Cache mounts that travel: what one machine's steps left, another's find, through every client."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.mounts_machine import APP, COLD, Machine, pair
from tests.e2e.peers import buildkitd, buildkitd_binary, buildx
from tests.e2e.sandbox import Sandbox

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


def test_mounts_are_listed_shown_removed_and_moved_by_command(
    machine: Machine, local_registry: str, tmp_path: Path
) -> None:
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
        (("shrink",), 'unknown command: "shrink"'),
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
