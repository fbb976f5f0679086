"""Archives and files at a client."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import stat
import tarfile
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from croze.errors import CrozeError, InvalidRequest
from croze.export.contract import Attestation
from croze.session.hostdir import HostDirProvider, LocalTarget
from croze.session.lent_service import LentService
from croze.session.providers.content import ContentProvider
from croze.session.providers.targets import DirTarget, FileOutput, FileTarget, TargetsProvider
from tests.export.results import AMD, ARM, export, make_ref, several, single, tar_files
from tests.sources.rig import Rig

pytestmark = pytest.mark.root

BLOBS_HEADER = (
    b"blobs/".ljust(100, b"\0")
    + b"0000755\0"
    + b"0000000\0" * 2
    + b"00000000000\0" * 2
    + b"010306\0 5".ljust(109, b"\0")
    + b"ustar\x0000".ljust(72, b"\0")
    + b"0000000\0" * 2
).ljust(512, b"\0")
"""What BuildKit's archives begin with: the bytes of a reproducible image's archive are the same."""


def file_target(path: Path) -> LentService:
    return TargetsProvider({0: FileTarget(lambda about: FileOutput(path))})


def tree(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


async def test_an_oci_archive(rig: Rig, tmp_path: Path) -> None:
    ref = await make_ref(rig, {"a": "one"}, {"b": "two"})
    async with rig.client(file_target(tmp_path / "out.tar")) as session:
        attrs = {"name": "x.io/app:1,x.io/app:2", "source-date-epoch": "1600000050"}
        answer = await export(rig, "oci", attrs, single(ref, rows=2), session.id)
    data = (tmp_path / "out.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
        assert names == sorted(names)
        assert names[:2] == ["blobs", "blobs/sha256"]
        assert names[-2:] == ["index.json", "oci-layout"]
        assert {m.mtime for m in tar} == {0}
    assert data[:512] == BLOBS_HEADER
    files = tar_files(data)
    index = json.loads(files["index.json"])
    assert [m["annotations"] for m in index["manifests"]] == [
        {
            "io.containerd.image.name": f"x.io/app:{tag}",
            "org.opencontainers.image.created": "2020-09-13T12:27:30Z",
            "org.opencontainers.image.ref.name": tag,
        }
        for tag in ("1", "2")
    ]
    assert index["manifests"][0]["digest"] == answer["containerimage.digest"]
    assert answer["image.name"] == "x.io/app:1,x.io/app:2"
    await ref.release()
    if shutil.which("skopeo"):
        await inspect(tmp_path / "out.tar", "oci-archive", ":1")


@pytest.mark.parametrize(
    ("platforms", "visible", "attested"), [(1, False, 0), (1, True, 2), (2, False, 2)]
)
async def test_attestations_of_archives(
    rig: Rig, tmp_path: Path, platforms: int, visible: bool, attested: int
) -> None:
    """What is for exporters that keep it inline makes no index of an archive, but is in one."""
    ref = await make_ref(rig, {"a": "one"})
    notes = [Attestation("x", b"{}", metadata={"inline-only": b"true"})]
    notes += [Attestation("y", b"{}")] if visible else []
    source = single(ref) if platforms == 1 else several({AMD: ref, ARM: ref})
    source = replace(source, results=[replace(r, attestations=notes) for r in source.results])
    async with rig.client(file_target(tmp_path / "out.tar")) as session:
        answer = await export(rig, "oci", {}, source, session.id)
    files = tar_files((tmp_path / "out.tar").read_bytes())
    root = json.loads(files["blobs/" + answer["containerimage.digest"].replace(":", "/")])
    statements = [
        layer["annotations"]["in-toto.io/predicate-type"]
        for entry in root.get("manifests", ())
        if entry["platform"]["os"] == "unknown"
        for layer in json.loads(files["blobs/" + entry["digest"].replace(":", "/")])["layers"]
    ]
    assert statements == (["x", "y"] if visible else ["x"] * attested)
    await ref.release()


async def inspect(path: Path, kind: str, suffix: str = "") -> None:
    """Let another tool read it."""
    process = await asyncio.create_subprocess_exec(
        *("skopeo", "--override-os", "linux", "--override-arch", "amd64"),
        *("inspect", f"{kind}:{path}{suffix}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert json.loads(out)["Layers"]


async def test_a_docker_archive(rig: Rig, tmp_path: Path) -> None:
    ref = await make_ref(rig, {"a": "one"})
    async with rig.client(file_target(tmp_path / "out.tar")) as session:
        await export(rig, "docker", {"name": "app"}, single(ref), session.id)
        refused = "docker exporter does not currently support exporting manifest lists"
        with pytest.raises(InvalidRequest, match=refused):
            await export(rig, "docker", {}, several({AMD: ref}), session.id)
    files = tar_files((tmp_path / "out.tar").read_bytes())
    (image,) = json.loads(files["manifest.json"])
    assert image["RepoTags"] == ["app:latest"]
    assert image["Config"] in files
    assert set(image["Layers"]) <= set(files)
    await ref.release()
    if shutil.which("skopeo"):
        await inspect(tmp_path / "out.tar", "docker-archive")


async def test_a_docker_archive_of_nothing(rig: Rig, tmp_path: Path) -> None:
    async with rig.client(file_target(tmp_path / "out.tar")) as session:
        await export(rig, "docker", {}, single(None, rows=0), session.id)
    (image,) = json.loads(tar_files((tmp_path / "out.tar").read_bytes())["manifest.json"])
    assert (image["RepoTags"], image["Layers"]) == (None, None)


async def test_a_client_that_has_it_already(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "one"})
    provider = TargetsProvider({0: FileTarget(lambda about: None)})
    async with rig.client(provider) as session:
        assert await export(rig, "docker", {"name": "app"}, single(ref), session.id)
    await ref.release()


async def test_an_oci_directory(rig: Rig, tmp_path: Path) -> None:
    ref = await make_ref(rig, {"a": "one"})
    layout = tmp_path / "layout"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    async with rig.client(ContentProvider({"export": layout})) as session:
        answer = await export(rig, "oci", {"tar": "false"}, single(ref), session.id)
    digest = answer["containerimage.digest"]
    manifest = json.loads((layout / "blobs" / "sha256" / digest[7:]).read_bytes())
    for blob in (manifest["config"], *manifest["layers"]):
        assert (layout / "blobs" / "sha256" / blob["digest"][7:]).stat().st_size == blob["size"]
    await ref.release()


def targets(kind: str, path: Path, *, delete: bool = False) -> list[LentService]:
    found: list[LentService] = [TargetsProvider({0: DirTarget(path, delete)})]
    if kind == "handle":
        found.append(HostDirProvider({}, {0: LocalTarget(path, delete)}))
    return found


@pytest.mark.parametrize("kind", ["transfer", "handle"])
async def test_a_directory(rig: Rig, tmp_path: Path, kind: str) -> None:
    ref = await make_ref(rig, {"a": "one", "sub/b": "two"}, {"sub/c": "three"})
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    os.chmod(out, 0o751)
    (out / "keep").write_text("kept")
    (out / "a").mkdir()
    async with rig.client(*targets(kind, out)) as session:
        attrs = {"source-date-epoch": "1600000050"}
        assert await export(rig, "local", attrs, single(ref), session.id) == {}
    assert tree(out) == {"keep": "kept", "a": "one", "sub/b": "two", "sub/c": "three"}
    assert (out / "a").stat().st_mtime == 1_600_000_050
    assert stat.S_IMODE(out.stat().st_mode) == 0o751
    assert "copying files" in rig.progress.statuses
    await ref.release()


@pytest.mark.parametrize("kind", ["transfer", "handle"])
async def test_platforms_are_kept_apart(rig: Rig, tmp_path: Path, kind: str) -> None:
    refs = {
        AMD: await make_ref(rig, {"a": "amd"}),
        ARM: await make_ref(rig, {"a": "arm", "only": "arm"}),
    }
    out = tmp_path / "out"
    async with rig.client(*targets(kind, out)) as session:
        await export(rig, "local", {}, several(refs), session.id)
        assert tree(out) == {
            "linux_amd64/a": "amd",
            "linux_arm64/a": "arm",
            "linux_arm64/only": "arm",
        }
        with pytest.raises(CrozeError, match=r"cannot overwrite a from linux/a.*64 with"):
            await export(rig, "local", {"platform-split": "false"}, several(refs), session.id)
    for ref in refs.values():
        await ref.release()


@pytest.mark.parametrize("kind", ["transfer", "handle"])
async def test_stray_files_are_deleted_on_wish(rig: Rig, tmp_path: Path, kind: str) -> None:
    ref = await make_ref(rig, {"a": "one"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "stray").write_text("x")
    async with rig.client(*targets(kind, out, delete=True)) as session:
        await export(rig, "local", {"mode": "delete"}, single(ref), session.id)
    assert tree(out) == {"a": "one"}
    await ref.release()


@pytest.mark.parametrize("kind", ["transfer", "handle"])
async def test_attestations_are_files(rig: Rig, tmp_path: Path, kind: str) -> None:
    ref = await make_ref(rig, {"a": "one"})
    told = Attestation("https://slsa.dev/provenance/v1", b'{"x":1}')
    hidden = Attestation("x", b"{}", metadata={"inline-only": b"true"})
    out = tmp_path / "out"
    async with rig.client(*targets(kind, out)) as session:
        attrs = {"attestation-prefix": "pre."}
        source = single(ref, attestations=(told, hidden))
        await export(rig, "local", attrs, source, session.id)
    assert set(tree(out)) == {"a", "pre.provenance.json"}
    statement = json.loads((out / "pre.provenance.json").read_text())
    assert [subject["name"] for subject in statement["subject"]] == ["a"]
    assert statement["predicate"] == {"x": 1}
    assert stat.S_IMODE((out / "pre.provenance.json").stat().st_mode) == 0o600
    await ref.release()


@pytest.mark.parametrize("kind", ["transfer", "handle"])
async def test_an_attestation_goes_over_a_file_of_its_name(
    rig: Rig, tmp_path: Path, kind: str
) -> None:
    ref = await make_ref(rig, {"a": "one", "b": "two"})
    source = single(ref, attestations=(Attestation("x", b"{}", path="a"),))
    async with rig.client(*targets(kind, tmp_path / "out")) as session:
        await export(rig, "local", {}, source, session.id)
    found = tree(tmp_path / "out")
    async with rig.client(file_target(tmp_path / "out.tar")) as session:
        await export(rig, "tar", {}, source, session.id)
    packed = tar_files((tmp_path / "out.tar").read_bytes())
    assert set(found) == set(packed) == {"a", "b"}
    assert found["b"] == "two"
    for text in (found["a"], packed["a"]):
        assert json.loads(text)["predicateType"] == "x"
    await ref.release()


@pytest.mark.parametrize("kind", ["transfer", "handle"])
async def test_an_attestation_is_no_directory(rig: Rig, tmp_path: Path, kind: str) -> None:
    """Whatever a frontend calls it."""
    ref = await make_ref(rig, {"a": "one"})
    (tmp_path / "out").mkdir()
    (tmp_path / "kept").write_text("kept")
    async with rig.client(*targets(kind, tmp_path / "out")) as session:
        for path in ("..", "a/..", ".", "\0"):
            source = single(ref, attestations=(Attestation("x", b"{}", path=path),))
            with pytest.raises(InvalidRequest, match="invalid attestation path name"):
                await export(rig, "local", {}, source, session.id)
    assert (tmp_path / "kept").read_text() == "kept"
    await ref.release()


async def test_attestations_in_a_tarball(rig: Rig, tmp_path: Path) -> None:
    ref = await make_ref(rig, {"a": "one"})
    told = (Attestation("https://slsa.dev/provenance/v1", b"{}"),)
    refs = {AMD: ref, ARM: ref}
    before = int(time.time())
    for split, name in (("true", "provenance.json"), ("false", "provenance.linux_amd64.json")):
        async with rig.client(file_target(tmp_path / "out.tar")) as session:
            source = several(refs)
            results = [replace(each, attestations=told) for each in source.results]
            source = replace(source, results=results)
            await export(rig, "tar", {"platform-split": split}, source, session.id)
        with tarfile.open(tmp_path / "out.tar") as archive:
            member = archive.getmember(f"linux_amd64/{name}")
            assert (member.mode, member.mtime >= before) == (0o600, True)
    await ref.release()


async def test_nothing(rig: Rig, tmp_path: Path) -> None:
    for kind in ("transfer", "handle"):
        async with rig.client(*targets(kind, tmp_path / kind)) as session:
            await export(rig, "local", {}, single(None, rows=0), session.id)
        assert tree(tmp_path / kind) == {}


async def test_a_tarball(rig: Rig, tmp_path: Path) -> None:
    refs = {
        AMD: await make_ref(rig, {"a": "amd" * 1_000_000}),
        ARM: await make_ref(rig, {"a": "arm"}),
    }
    async with rig.client(file_target(tmp_path / "out.tar")) as session:
        await export(rig, "tar", {}, single(refs[AMD]), session.id)
        assert tar_files((tmp_path / "out.tar").read_bytes()) == {"a": b"amd" * 1_000_000}
        await export(rig, "tar", {}, several(refs), session.id)
        found = tar_files((tmp_path / "out.tar").read_bytes())
        assert set(found) == {"linux_amd64/a", "linux_arm64/a"}
    for ref in refs.values():
        await ref.release()


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"mode": 'a"'}, r'^invalid local exporter mode "a\\""$'),
        ({"platform-split": ""}, '^non-bool value for platform-split: : strconv.ParseBool: .* ""'),
        ({"source-date-epoch": "1_0"}, "^invalid source-date-epoch: (strconv.*: .* syntax): .*$"),
    ],
)
async def test_bad_attributes(rig: Rig, attrs: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        await export(rig, "local", attrs, single(None, rows=0))
