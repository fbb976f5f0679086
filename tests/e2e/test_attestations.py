"""What leaves a build besides its result: provenance, attached and recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sandbox import Sandbox, execute, registry

DOCKERFILE = """
FROM base AS one
RUN --network=none echo one > /made
FROM scratch
COPY --from=one /made /
COPY given /
"""
MAX = "--attest=type=provenance,mode=max"


def base(busybox: Path) -> list[str]:
    return ["--build-context", f"base=oci-layout://{busybox}:latest"]


@pytest.fixture
def context(sandbox: Sandbox) -> Path:
    return sandbox.context("app", {"Dockerfile": DOCKERFILE, "given": "1"})


def statements(layout: Path) -> list[dict[str, Any]]:
    """All of an image, which they must be about."""
    (entry,) = _read(layout, _index(layout)["manifests"][0]["digest"])["manifests"][1:]
    (image, _) = _read(layout, _index(layout)["manifests"][0]["digest"])["manifests"]
    assert entry["annotations"] == {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image["digest"],
    }
    found = [_read(layout, each["digest"]) for each in _read(layout, entry["digest"])["layers"]]
    for each in found:
        for subject in each["subject"]:
            assert subject["digest"] == {"sha256": image["digest"].partition(":")[2]}
    return found


def _index(layout: Path) -> dict[str, Any]:
    return dict(json.loads((layout / "index.json").read_bytes()))


def _read(layout: Path, digest: str) -> dict[str, Any]:
    return dict(json.loads((layout / "blobs" / digest.replace(":", "/")).read_bytes()))


def test_what_was_cached_is_told_as_what_ran(
    sandbox: Sandbox, busybox: Path, context: Path
) -> None:
    told = []
    for number in range(2):
        out = sandbox.path / f"out{number}"
        output = f"type=oci,tar=false,dest={out},name=example.com/app:1"
        done = sandbox.croze(
            "build",
            *base(busybox),
            "--progress=plain",
            MAX,
            "-o",
            output,
            "--build-arg",
            "A=b",
            context,
        )
        assert ("CACHED" in done.stderr) == bool(number)
        (statement,) = statements(out)
        assert [s["name"] for s in statement["subject"]] == [
            "pkg:docker/example.com/app@1?platform=linux%2Famd64"
        ]
        told.append(statement["predicate"])
    for predicate in told:
        del predicate["runDetails"]["metadata"]["invocationId"]
        del predicate["runDetails"]["metadata"]["startedOn"]
        del predicate["runDetails"]["metadata"]["finishedOn"]
        # What has the client's session in it, which is another one.
        del predicate["buildDefinition"]["internalParameters"]["buildConfig"]
        del predicate["buildDefinition"]["externalParameters"]["request"]["args"]["context:base"]
        source = predicate["runDetails"]["metadata"]["buildkit_metadata"]["source"]
        del source["infos"][0]["digestMapping"]
    assert told[0] == told[1]
    definition = told[0]["buildDefinition"]
    (material,) = definition["resolvedDependencies"]
    digest = json.loads((busybox / "index.json").read_bytes())["manifests"][0]["digest"]
    assert material["digest"] == {"sha256": digest.partition(":")[2]}
    assert material["uri"].startswith("pkg:oci/")
    request = definition["externalParameters"]["request"]
    assert request["args"]["build-arg:A"] == "b"
    assert [local["name"] for local in request["locals"]] == ["context", "dockerfile"]
    metadata = told[0]["runDetails"]["metadata"]
    assert metadata["buildkit_metadata"]["layers"]
    assert metadata["buildkit_completeness"] == {"request": True, "resolvedDependencies": False}


def test_the_least_that_is_told(sandbox: Sandbox, busybox: Path, context: Path) -> None:
    out = sandbox.path / "out"
    flags = [
        "--provenance=mode=min,version=v0.2,builder-id=https://example.com/b,reproducible=true"
    ]
    output = f"type=oci,tar=false,dest={out}"
    sandbox.croze("build", *base(busybox), *flags, "--build-arg=A=b", "-o", output, context)
    (statement,) = statements(out)
    assert statement["predicateType"] == "https://slsa.dev/provenance/v0.2"
    assert statement["subject"] == []
    predicate = statement["predicate"]
    assert predicate["builder"] == {"id": "https://example.com/b"}
    assert "build-arg:A" not in predicate["invocation"]["parameters"].get("args", {})
    assert predicate["metadata"]["completeness"]["parameters"] is False
    assert predicate["metadata"]["reproducible"] is True
    assert "buildConfig" not in predicate


def test_attestations_lie_beside_the_files_of_a_result(
    sandbox: Sandbox, busybox: Path, context: Path
) -> None:
    out = sandbox.path / "out"
    output = f"type=local,dest={out},attestation-prefix=about."
    flags = ["--provenance=mode=max,filename=how.json"]
    sandbox.croze("build", *base(busybox), *flags, "-o", output, context)
    assert sorted(p.name for p in out.iterdir()) == ["about.how.json", "given", "made"]
    statement = json.loads((out / "about.how.json").read_bytes())
    assert sorted(subject["name"] for subject in statement["subject"]) == ["given", "made"]
    sandbox.croze("build", *base(busybox), "--provenance=inline-only=true", "-o", output, context)


@pytest.mark.parametrize(
    ("flag", "error"),
    [
        ("--provenance=mode=some", 'invalid mode "some"'),
        ("--provenance=version=v7", "invalid provenance SLSA version: v7"),
        ("--provenance=reproducible=x", 'failed to parse reproducible flag "x": strconv.ParseBool'),
        ("--provenance=complete-materials=true", "provenance materials are incomplete"),
        ("--attest=type=other", 'unknown attestation type "other"'),
    ],
)
def test_what_can_not_be_told(
    sandbox: Sandbox, busybox: Path, context: Path, flag: str, error: str
) -> None:
    done = sandbox.croze("build", *base(busybox), flag, context, check=False)
    assert done.code == 1
    assert error in done.stderr


SCANNER = """
FROM base
COPY scan /
CMD ["sh", "/scan"]
"""
SCAN = r"""
cd "$BUILDKIT_SCAN_DESTINATION"
for source in "$BUILDKIT_SCAN_SOURCE" "$BUILDKIT_SCAN_SOURCE_EXTRAS"/*; do
  [ -d "$source" ] || continue
  name=$(basename "$source")
  files= comma=
  for file in $(cd "$source" && find . -type f | grep -v /bin/ | sort); do
    files="$files$comma{\"SPDXID\": \"SPDXRef-$comma$name\", \"fileName\": \"$file\"}" comma=,
  done
  echo "{\"_type\": \"https://in-toto.io/Statement/v1\",
    \"predicateType\": \"https://spdx.dev/Document\",
    \"predicate\": {\"spdxVersion\": \"SPDX-2.3\", \"name\": \"$name $BUILDKIT_SCAN_WORDS\",
    \"files\": [$files]}}" > "$name.spdx.json"
done
"""
SCANNED = """
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
FROM base AS one
ARG BUILDKIT_SBOM_SCAN_STAGE=true
RUN echo one > /made
FROM scratch
ARG BUILDKIT_SBOM_SCAN_CONTEXT
COPY --from=one /made /
COPY given /
"""


def test_an_image_scans(sandbox: Sandbox, busybox: Path, tmp_path: Path) -> None:
    files = {"Dockerfile": SCANNED, "given": "1", "unused": "2"}
    context = sandbox.context("scanned", files)
    scanner = sandbox.context("scanner", {"Dockerfile": SCANNER, "scan": SCAN})
    with registry(tmp_path / "registry") as host:
        name = f"{host}/scanner:1"
        sandbox.croze("build", *base(busybox), "-t", name, "--push", scanner)
        out = sandbox.path / "out"
        output = f"type=oci,tar=false,dest={out},name=app:1"
        flags = [f"--sbom=generator={name},WORDS=said", "--provenance=mode=max"]
        sandbox.croze("build", *base(busybox), *flags, "-o", output, context)
    core, *rest = statements(out)
    *extras, provenance = rest
    assert core["predicate"]["name"] == "sbom said"
    named = {each["fileName"]: each.get("comment", "") for each in core["predicate"]["files"]}
    assert sorted(named) == ["./given", "./made"]
    image = _read(out, _read(out, _index(out)["manifests"][0]["digest"])["manifests"][0]["digest"])
    layers = [f"layerID: {layer['digest']}" for layer in image["layers"]]
    assert [named["./made"], named["./given"]] == layers
    assert sorted(each["predicate"]["name"] for each in extras) == [
        "sbom-context said",
        "sbom-one said",
    ]
    assert provenance["predicateType"] == "https://slsa.dev/provenance/v1"
    dependencies = provenance["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert any("scanner" in each["uri"] for each in dependencies)


def test_the_record_and_the_metadata_file(sandbox: Sandbox, busybox: Path, context: Path) -> None:
    """Whatever a build asked for, its record tells all; ours and stock buildx read it."""
    metadata = sandbox.path / "metadata.json"
    flags = ["--metadata-file", str(metadata), "--build-arg=A=b", "-o", "type=cacheonly"]
    key = "buildx.build.provenance"
    for mode in ("min", "max"):
        env = {"BUILDX_METADATA_PROVENANCE": mode}
        shown = []
        sandbox.croze("build", *base(busybox), *flags, context, env=env)
        shown.append(json.loads(metadata.read_bytes()))
        sandbox.extra_env.update(env)
        sandbox.buildx("sid", "build", *base(busybox), *flags, str(context))
        shown.append(json.loads(metadata.read_bytes()))
        ours, stock = (each[key] for each in shown)
        assert sorted(ours) == sorted(stock)
        assert ours["materials"] == stock["materials"]
        assert ours["invocation"]["environment"] == stock["invocation"]["environment"]
        assert ("buildConfig" in ours) == (mode == "max")
    sandbox.croze(
        "build", *base(busybox), *flags, context, env={"BUILDX_METADATA_PROVENANCE": "disabled"}
    )
    assert key not in json.loads(metadata.read_bytes())

    listed = sandbox.buildx("sid", "history", "ls", "--no-trunc", "--format", "{{.Ref}}").stdout
    ref = listed.split()[0]
    for kind in ("https://slsa.dev/provenance/v1", "provenance"):
        out = sandbox.buildx("sid", "history", "inspect", "attachment", "--type", kind, ref).stdout
        predicate = json.loads(out)
        args = predicate["buildDefinition"]["externalParameters"]["request"]["args"]
        assert args["build-arg:A"] == "b"
    inspected = json.loads(
        sandbox.buildx("sid", "history", "inspect", "--format", "json", ref).stdout
    )
    assert [m["URI"] for m in inspected["Materials"]] == [
        each["uri"] for each in predicate["buildDefinition"]["resolvedDependencies"]
    ]


INSTALLED = """
FROM base AS tools
ARG BUILDKIT_SBOM_SCAN_STAGE=true
COPY tool.json /t/node_modules/tool/package.json
FROM base
COPY status /var/lib/dpkg/status.d/base
COPY app.json /a/node_modules/app/package.json
COPY --from=tools /t/node_modules/tool/package.json /made-with
"""


def test_the_daemon_looks_itself(sandbox: Sandbox, busybox: Path) -> None:
    """No image is pulled for it, and nothing needs the network."""
    files = {
        "Dockerfile": INSTALLED,
        "status": "Package: base\nVersion: 1\n",
        "app.json": '{"name": "app", "version": "2"}',
        "tool.json": '{"name": "tool", "version": "3"}',
    }
    context = sandbox.context("installed", files)
    out, folder = sandbox.path / "out", sandbox.path / "files"
    flags = ["--sbom=generator=croze", "--build-arg=SOURCE_DATE_EPOCH=1700000000"]
    outputs = [
        *("-o", f"type=oci,tar=false,dest={out},name=app:1"),
        *("-o", f"type=local,dest={folder}"),
    ]
    sandbox.croze("build", *base(busybox), *flags, *outputs, context)
    core, extra = statements(out)
    assert core["predicate"]["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    packages = {p["name"]: p for p in core["predicate"]["packages"]}
    assert sorted(packages) == ["app", "base", "sbom"]
    image = _read(out, _read(out, _index(out)["manifests"][0]["digest"])["manifests"][0]["digest"])
    layers = [f"layerID: {layer['digest']}" for layer in image["layers"]]
    assert [packages["base"]["comment"], packages["app"]["comment"]] == layers[1:3]
    assert "tool" in [p["name"] for p in extra["predicate"]["packages"]]
    beside = json.loads((folder / "sbom.spdx.json").read_bytes())
    assert beside["predicateType"] == "https://spdx.dev/Document"
    assert {p["name"] for p in beside["predicate"]["packages"]} == set(packages)
    assert (folder / "sbom-tools.spdx.json").exists()
    wrong = sandbox.croze(
        "build", *base(busybox), "--sbom=generator=croze,depth=2", context, check=False
    )
    assert "the sbom generator croze has no parameter depth" in wrong.stderr


def test_stock_buildx_asks_the_daemon_to_look(sandbox: Sandbox, busybox: Path) -> None:
    context = sandbox.context("plain", {"Dockerfile": "FROM base\n"})
    out = sandbox.path / "out"
    flags = ["--sbom=generator=croze", "-o", f"type=oci,tar=false,dest={out}"]
    sandbox.buildx("sid", "build", *base(busybox), *flags, str(context))
    (core,) = statements(out)
    assert core["predicate"]["spdxVersion"] == "SPDX-2.3"


def test_others_read_what_is_attested(sandbox: Sandbox, busybox: Path, tmp_path: Path) -> None:
    """By default an image is attested: our own store and run, a later FROM, skopeo and umoci."""
    sandbox.extra_env["BUILDX_NO_DEFAULT_ATTESTATIONS"] = "0"
    app = sandbox.context("runs", {"Dockerfile": "FROM base\nRUN echo hello > /said\n"})
    sandbox.croze("build", *base(busybox), "-t", "app", app)
    assert sandbox.croze("run", "app", "cat", "/said").stdout == "hello\n"
    with registry(tmp_path / "registry") as host:
        name = f"{host}/app:1"
        sandbox.croze("build", *base(busybox), "-t", name, "--push", app)
        raw = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]
        index = json.loads(execute(raw, sandbox.env).stdout)
        assert len(index["manifests"]) == 2
        later = sandbox.context("later", {"Dockerfile": f"FROM {name}\nRUN cat /said\n"})
        sandbox.croze("build", "-o", "type=cacheonly", later)
        copied = sandbox.path / "copied"
        copy = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false"]
        execute([*copy, f"docker://{name}", f"oci:{copied}:app"], sandbox.env)
        execute([*copy, "--all", f"docker://{name}", f"oci:{copied}:all"], sandbox.env)
    bundle = sandbox.path / "bundle"
    execute(["umoci", "unpack", "--image", f"{copied}:app", str(bundle)], sandbox.env)
    assert (bundle / "rootfs/said").read_text() == "hello\n"
