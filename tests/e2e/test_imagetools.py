"""`imagetools`: the same arguments to buildx and to croze, on the same registry."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.image_shop import OCI_INDEX, Layout, Shop
from tests.e2e.sandbox import CROZE, Done, Sandbox, registry
from tests.registry.servers import HTPASSWD
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("imagetools")
    layout = Layout(folder / "layout")
    amd64, arm64 = layout.image("linux/amd64", "one"), layout.image("linux/arm64/v8", "two")
    told = [layout.attestation(one) for one in (amd64, arm64)]
    layout.tag("single", amd64)
    layout.tag("multi", layout.index(amd64, arm64, *told))
    layout.tag("attested", layout.index(amd64, told[0]))
    layout.tag("docker", layout.image("linux/amd64", "three", docker=True))
    layout.tag("list", layout.index(layout.image("linux/s390x", "4", docker=True), docker=True))
    with registry(folder / "registry") as host:
        shop = Shop(Sandbox(folder / "home"), host, layout)
        shop.sandbox.path.mkdir()
        for tag in ("single", "multi", "attested", "docker", "list"):
            words = ("--prefer-index=false", "-t", f"HOST/a:{tag}", f"{layout}:{tag}")
            shop.croze("create", *words, check=True)
        yield shop


def said(done: Done) -> tuple[int, str, list[str]]:
    """Exit code, output, and lines of errors without the program's name."""
    text = re.sub(r"(docker-buildx: )?'(docker-buildx|croze)(?= imagetools)", "'X", done.stderr)
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    quiet = ("See ", "Usage", "Run ")
    out = done.stdout
    if out.startswith("Name:"):  # buildx shows annotations in Go's order of maps, which is none
        out = re.sub(
            r"(?:^ {4}\S+: .*\n)+",
            lambda m: "".join(sorted(m[0].splitlines(True))),
            out,
            flags=re.M,
        )
    return done.code, out, [line for line in lines if not line.startswith(quiet)]


@pytest.mark.parametrize(
    "words",
    [
        "inspect HOST/a:single",
        "inspect HOST/a:multi",
        "inspect HOST/a:attested",
        "inspect HOST/a:docker",
        "inspect HOST/a:list",
        "inspect HOST/a:none",
        "inspect HOST/b",
        "inspect HOST/B",
        "inspect HOST/a:single HOST/a:multi",
        "inspect",
        "inspect --raw HOST/a:multi",
        "inspect --raw --format x HOST/a:multi",
        "inspect HOST/a:multi --format {{.Manifest}}",
        "inspect HOST/a:single --format {{json .}}",
        "inspect HOST/a:single --format {{json .Manifest}}",
        "inspect HOST/a:single --format {{json .Image}}",
        "inspect HOST/a:single --format {{.Name}}:{{.Image.Config.Cmd}}:{{.Image.OS}}",
        "inspect HOST/a:single --format {{json .SBOM}}{{json .Provenance}}",
        "inspect HOST/a:single --format {{.Image}}",
        "inspect HOST/a:single --format {{print .Image}}",
        'inspect HOST/a:single --format {{printf "%+v" .Image}}',
        'inspect HOST/a:single --format {{printf "%T %T" .Image.Platform .Image.Created}}',
        "inspect HOST/a:single --format {{.Image.Platform}}:{{.Image.Platform.OS}}",
        "inspect HOST/a:single --format {{json .Image.Platform}}",
        "inspect HOST/a:single --format {{.Image.Platform.Nope}}",
        "inspect HOST/a:single --format {{.Image.Created.Year}}",
        'inspect HOST/a:single --format <{{index .Image.Config.Labels "nope"}}>',
        "inspect HOST/a:single --format {{.Provenance}}{{.SBOM}}",
        'inspect HOST/a:multi --format {{index .Image "linux/amd64"}}',
        'inspect HOST/a:multi --format {{(index .Image "linux/arm64").Platform}}',
        'inspect HOST/a:multi --format {{index .Image "nope"}}',
        'inspect HOST/a:multi --format {{(index .Image "nope").OS}}',
        'inspect HOST/a:multi --format {{index .Provenance "nope"}}',
        'inspect HOST/a:multi --format {{printf "%T %T %T" .Image .SBOM .Provenance}}',
        "inspect HOST/a:multi --format {{.Image.Platform}}",
        "inspect HOST/a:single --format {{.Nope}}",
        "inspect HOST/a:single --format {{.Image.Nope}}",
        "inspect HOST/a:single --format {{.Nope",
        "inspect HOST/a:multi --format {{json .}}",
        "inspect HOST/a:multi --format {{json .Manifest}}",
        "inspect HOST/a:multi --format {{range .Manifest.Manifests}}{{.Digest}};{{end}}",
        'inspect HOST/a:multi --format {{json (index .Image "linux/arm64")}}',
        'inspect HOST/a:multi --format {{json (index .SBOM "linux/amd64").SPDX}}',
        "inspect HOST/a:multi --format {{json .Provenance}}",
        "inspect HOST/a:attested --format {{json .SBOM}}",
        "inspect HOST/a:attested --format {{json .Provenance.SLSA}}",
        "inspect HOST/a:attested --format {{range .SBOM.SPDX.packages}}{{.name}}{{end}}",
        "create",
        "create HOST/a:single",
        "create --dry-run nope:nope:nope",
        "create --dry-run sha256:12",
        "create --dry-run sha256:" + "0" * 64,
        "create --dry-run HOST/a:none",
        "create --dry-run HOST/a:single",
        "create --dry-run --prefer-index=false HOST/a:single",
        "create --dry-run HOST/a:multi",
        "create --dry-run HOST/a:single HOST/a:multi",
        "create --dry-run HOST/a:single HOST/a:docker",
        "create --dry-run HOST/a:docker HOST/a:list",
        "create --dry-run HOST/a:docker",
        "create --dry-run -t HOST/a:single --append HOST/a:docker",
        "create --dry-run --platform linux/arm64 HOST/a:multi",
        "create --dry-run --platform linux/arm64,linux/amd64 HOST/a:multi",
        "create --dry-run --platform linux/s390x HOST/a:multi",
        "create --dry-run --platform linux/s390x --prefer-index=false HOST/a:single",
        "create --dry-run --platform a/b/c/d HOST/a:multi",
        "create --dry-run --annotation index:a=b HOST/a:multi",
        "create --dry-run --annotation index:a=b,c=d --annotation index:e= HOST/a:single",
        "create --dry-run --annotation manifest-descriptor:a=b HOST/a:multi",
        "create --dry-run --annotation manifest-descriptor[linux/amd64]:a=b HOST/a:multi",
        "create --dry-run --annotation a=b HOST/a:multi",
        "create --dry-run --annotation manifest:a=b HOST/a:multi",
        "create --dry-run --annotation index-descriptor:a=b HOST/a:multi",
        "create --dry-run --annotation x:a=b HOST/a:multi",
        "create --dry-run --annotation a HOST/a:multi",
        "create --progress nope -t HOST/c:1 HOST/a:single",
        "create --progress none -t HOST/same:1 HOST/a:multi",
        "create --nope",
    ],
)
def test_the_same_words(shop: Shop, words: str) -> None:
    # A blank within braces belongs to the template.
    split = re.findall(r"(?:\{\{.*?\}\}|\S)+", words)
    assert said(shop.croze(*split)) == said(shop.buildx(*split))


def requests(shop: Shop, since: int) -> list[str]:
    """Method, path and status of what the registry was asked."""
    log = (shop.layout.path.parent / "registry/log").read_text()[since:]
    return [" ".join(found) for found in re.findall(r'"([A-Z]+) (\S+) HTTP/1.1" (\d+)', log)]


def log_size(shop: Shop) -> int:
    return (shop.layout.path.parent / "registry/log").stat().st_size


def digest_of(done: Done) -> str:
    return "sha256:" + hashlib.sha256(done.stdout.encode()).hexdigest()


def test_within_a_registry_blobs_are_linked_and_not_moved(shop: Shop) -> None:
    start = log_size(shop)
    shop.croze(
        "create", "-t", "HOST/linked/b:1", "-t", "HOST/linked/b:2", "HOST/a:multi", check=True
    )
    asked = requests(shop, start)
    uploads = [one for one in asked if one.startswith("POST")]
    assert len(uploads) == 8  # two layers and configs, and for each an attestation's config ...
    assert all("mount=" in one and "from=a" in one and one.endswith(" 201") for one in uploads)
    assert not [one for one in asked if one.startswith("GET") and "/a/blobs/" in one]
    raw = [
        shop.buildx("inspect", "--raw", f"HOST/{name}", check=True)
        for name in ("a:multi", "linked/b:1", "linked/b:2")
    ]
    assert len({one.stdout for one in raw}) == 1
    start = log_size(shop)
    shop.croze("create", "-t", "HOST/linked/b:3", "HOST/a:multi", check=True)
    again = requests(shop, start)
    assert not [one for one in again if one.startswith("POST")]
    assert [one for one in again if one.startswith("PUT")] == ["PUT /v2/linked/b/manifests/3 201"]
    there = shop.buildx(
        "inspect", "HOST/linked/b:1", "--format", "{{json .Provenance}}", check=True
    )
    assert set(json.loads(there.stdout)) == {"linux/amd64", "linux/arm64"}


def test_another_registry_gets_what_it_lacks(shop: Shop, tmp_path: Path) -> None:
    with registry(tmp_path / "other") as other:
        shop.croze("create", "-t", f"{other}/x:1", "HOST/a:single", check=True)
        start = log_size(shop)
        shop.croze("create", "-t", f"{other}/x:2", "HOST/a:multi", check=True)
        moved = [one for one in requests(shop, start) if one.startswith("GET") and "/blobs/" in one]
        # The first image's layer and config are there already.
        assert len(moved) == len(set(moved)) == 6
        there = shop.buildx("inspect", "--raw", f"{other}/x:2", check=True)
        assert there.stdout == shop.buildx("inspect", "--raw", "HOST/a:multi", check=True).stdout
        copied = shop.buildx("inspect", f"{other}/x:2", "--format", "{{json .}}", check=True)
        here = shop.buildx("inspect", "HOST/a:multi", "--format", "{{json .}}", check=True)
        assert json.loads(copied.stdout)["image"] == json.loads(here.stdout)["image"]


def test_what_buildx_publishes_croze_publishes(shop: Shop) -> None:
    """The same sources, byte for byte, out of both; with metadata."""
    metadata = shop.layout.path.parent / "metadata.json"
    words = (
        "--annotation",
        "index:a=b",
        "--platform",
        "linux/amd64",
        "HOST/a:multi",
        "HOST/a:docker",
    )
    shop.buildx("create", "-t", "HOST/by/buildx:1", *words, check=True)
    more = ("--metadata-file", str(metadata), "-t", "HOST/by/two:1", "-t", "HOST/by/croze:1")
    shop.croze("create", *more, *words, check=True)
    one, two = (
        shop.buildx("inspect", "--raw", f"HOST/by/{n}:1", check=True) for n in ("buildx", "croze")
    )
    assert one.stdout == two.stdout
    written = json.loads(metadata.read_bytes())
    assert written["image.name"] == f"{shop.host}/by/croze,{shop.host}/by/two"
    assert written["containerimage.descriptor"] == {
        "mediaType": OCI_INDEX,
        "digest": digest_of(one),
        "size": len(one.stdout),
    }


def test_append_and_descriptors_of_files(shop: Shop, tmp_path: Path) -> None:
    listed = json.loads(shop.croze("inspect", "HOST/a:multi", "--raw", check=True).stdout)
    arm64 = next(one for one in listed["manifests"] if one["platform"]["architecture"] == "arm64")
    said = {k: arm64[k] for k in ("mediaType", "digest", "size")} | {
        "annotations": {"told": "by hand"},
        "platform": {"os": "linux", "architecture": "arm"},
    }
    (tmp_path / "arm.json").write_text(json.dumps(said))
    shop.croze("create", "--prefer-index=false", "-t", "HOST/a:grown", "HOST/a:single", check=True)
    shop.croze(
        "create", "--append", "-t", "HOST/a:grown", "-f", str(tmp_path / "arm.json"), check=True
    )
    grown = json.loads(shop.buildx("inspect", "HOST/a:grown", "--raw", check=True).stdout)
    assert [one["platform"]["architecture"] for one in grown["manifests"]] == ["amd64", "arm"]
    assert grown["manifests"][1]["annotations"] == {"told": "by hand"}
    said["size"] = 1
    refused = shop.croze("create", "--dry-run", json.dumps(said), "HOST/a:single")
    assert refused.code == 1
    assert f"invalid size mismatch for {arm64['digest']}, 1 != {arm64['size']}" in refused.stderr


def test_to_an_oci_layout_and_back(shop: Shop, tmp_path: Path) -> None:
    layout = f"oci-layout://{tmp_path}/new/layout"
    shop.croze("create", "-t", f"{layout}:1", "HOST/a:multi", check=True)
    shop.croze("create", "-t", f"{layout}:1", "-t", layout, "HOST/a:attested", check=True)
    index = json.loads((tmp_path / "new/layout/index.json").read_bytes())
    names = [one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]]
    assert names == ["1", "latest"]
    for blob in (tmp_path / "new/layout/blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
        assert stat.S_IMODE(blob.stat().st_mode) == 0o444, "as buildx leaves them"
    shop.croze("create", "-t", "HOST/back:1", layout, check=True)
    back = shop.buildx("inspect", "--raw", "HOST/back:1", check=True)
    assert back.stdout == shop.buildx("inspect", "--raw", "HOST/a:attested", check=True).stdout
    shown = shop.croze(
        "inspect", layout, "--format", "{{.Name}} {{json .SBOM.SPDX.name}}", check=True
    )
    assert shown.stdout == f'{layout} "s"'
    by_digest = shop.croze("inspect", f"{layout}@{digest_of(back)}", "--raw", check=True)
    assert by_digest.stdout == back.stdout
    wrong = shop.croze("create", "-t", f"{layout}@sha256:{'0' * 64}", "HOST/a:single")
    assert (wrong.code, "but produced sha256:" in wrong.stderr) == (1, True)


def test_a_layout_that_lies_is_refused(shop: Shop, tmp_path: Path) -> None:
    """Bytes that are not those of their digest go nowhere."""
    layout = Layout(tmp_path / "lies")
    image = layout.image("linux/amd64", "honest")
    layout.tag("latest", image)
    manifest = layout.path / "blobs/sha256" / str(image["digest"])[7:]
    layer = json.loads(manifest.read_bytes())["layers"][0]["digest"]
    (layout.path / "blobs/sha256" / layer[7:]).write_bytes(b"x" * 6000)
    for target in ("HOST/lies:1", f"oci-layout://{tmp_path}/target"):
        refused = shop.croze("create", "-t", target, str(layout))
        assert refused.code == 1
        assert f"of content {layer}" in refused.stderr
    assert shop.croze("inspect", "HOST/lies:1").code == 1
    assert not (tmp_path / "target/index.json").exists()
    manifest.write_bytes(b"{}")
    refused = shop.croze("inspect", str(layout))
    assert (refused.code, f"of content {image['digest']}" in refused.stderr) == (1, True)


SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
ATTESTATION = "application/vnd.docker.attestation.manifest.v1+json"


def test_signatures_go_along(shop: Shop, tmp_path: Path) -> None:
    """Debian's registry keeps no lists of what refers to a manifest: a tag stands for them."""
    layout = Layout(tmp_path / "signed")
    image = layout.image("linux/amd64", "signed")
    for artifact_type in (SIGNATURE, ATTESTATION, "application/vnd.other"):
        layout.referrer(image, artifact_type)
    layout.tag("latest", image)
    carbon_copy = ("create", "--prefer-index=false")
    shop.croze(*carbon_copy, "-t", "HOST/signed:1", str(layout), check=True)
    shop.croze(*carbon_copy, "-t", "HOST/signed:2", "HOST/signed:1", check=True)
    tag = str(image["digest"]).replace(":", "-")
    listed = shop.buildx("inspect", "--raw", f"HOST/signed:{tag}", check=True)
    found = {one["artifactType"]: one for one in json.loads(listed.stdout)["manifests"]}
    assert set(found) == {SIGNATURE, ATTESTATION}
    assert not any("annotations" in one for one in found.values())
    made = shop.croze("create", "--dry-run", "HOST/signed:1", check=True)
    first, attestation = json.loads(made.stdout)["manifests"]
    assert first["digest"] == image["digest"]
    assert attestation["digest"] == found[ATTESTATION]["digest"]
    assert attestation["annotations"] == {
        "vnd.docker.reference.digest": image["digest"],
        "vnd.docker.reference.type": "attestation-manifest",
    }
    back = tmp_path / "back"
    shop.croze(*carbon_copy, "-t", f"oci-layout://{back}", "HOST/signed:1", check=True)
    entries = json.loads((back / "index.json").read_bytes())["manifests"]
    subjects = {one["digest"] for one in entries if "io.containerd.manifest.subject" in str(one)}
    assert subjects == {one["digest"] for one in found.values()}
    assert all((back / "blobs/sha256" / digest[7:]).exists() for digest in subjects)


def test_bad_places_to_write(shop: Shop) -> None:
    for words, problem in (
        (("-t", "", "HOST/a:single"), "ERROR: invalid reference format"),
        (("-t", "oci-layout:///proc/nope/x", "HOST/a:single"), "write /proc/nope"),
        (
            ("--metadata-file", "/proc/nope/x", "-t", "HOST/same:2", "HOST/a:multi"),
            "ERROR: invalid output path: stat /proc/nope: no such file or directory",
        ),
    ):
        refused = shop.croze("create", *words)
        assert refused.code == 1
        assert problem in refused.stderr
        assert "Errno" not in refused.stderr


def test_a_registry_that_wants_a_login(shop: Shop, tmp_path: Path) -> None:
    """The login is of the Docker CLI's configuration; a wrong one fails in buildx's words."""
    config = shop.sandbox.path / ".docker/config.json"
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text(HTPASSWD)
    auth = f"auth: {{htpasswd: {{realm: test, path: '{htpasswd}'}}}}\n"
    try:
        with registry(tmp_path / "closed", auth) as closed:
            for secret in ("", "wrong", "secret"):
                login = base64.b64encode(f"user:{secret}".encode()).decode()
                auths = {closed: {"auth": login}} if secret else {}
                config.write_text(json.dumps({"auths": auths}))
                pushed = shop.croze("create", "-t", f"{closed}/a:1", "HOST/a:single")
                assert pushed.code == (0 if secret == "secret" else 1)
                words = ("inspect", f"{closed}/a:1")
                if secret:  # without a login, newer buildx says what this registry says
                    assert said(shop.croze(*words)) == said(shop.buildx(*words))
    finally:
        config.unlink(missing_ok=True)


def test_a_copy_that_is_ended_leaves_nothing(shop: Shop, tmp_path: Path) -> None:
    """SIGTERM, while a registry that answers nothing is asked."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        folder = tmp_path / "tmp"
        folder.mkdir()
        target = f"127.0.0.1:{deaf.getsockname()[1]}/a:1"
        words = ("imagetools", "create", "-t", target, f"{shop.host}/a:single")
        process = subprocess.Popen(
            [CROZE, *words],
            env={**shop.sandbox.env, "TMPDIR": str(folder)},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            deaf.settimeout(PATIENCE_S)
            asked, _ = deaf.accept()
            with asked:
                assert list(folder.iterdir())
                process.terminate()
                _, errors = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors.endswith("ERROR: context canceled\n")
    assert list(folder.iterdir()) == []
