"""Builds whose steps reach the web by way of the daemon's proxy alone."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import images
from tests.e2e.sandbox import Sandbox, execute
from tests.e2e.web import web

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
GET = "env NO_PROXY= no_proxy= wget -q -O-"
"""This machine is not asked for by a proxy unless one insists."""


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("proxied")).running("--proxy-network") as made:
        yield made


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Busybox with a bundle of certificates."""
    out = io.BytesIO(images.busybox_layer())
    with tarfile.open(fileobj=out, mode="a", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(BUNDLE)
        info.size = len(b"known\n")
        archive.addfile(info, io.BytesIO(b"known\n"))
    target = tmp_path_factory.mktemp("images") / "bundle"
    images.write_layout(target, [out.getvalue()], {"Env": ["PATH=/bin"], "Cmd": ["sh"]})
    return target


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("web")
    (folder / "data").write_text("from the web\n")
    with web(folder, []) as url:
        yield url


def build(proxied: Sandbox, layout: Path, text: str, *flags: str, check: bool = True) -> Any:
    context = proxied.context("app", {"Dockerfile": f"FROM base\n{text}"})
    base = ["--build-context", f"base=oci-layout://{layout}:latest", "--progress=plain"]
    return proxied.croze("build", *base, *flags, "--no-cache", context, check=check)


def test_what_steps_ask_is_told(proxied: Sandbox, layout: Path, site: str, tmp_path: Path) -> None:
    text = f"""RUN {GET} {site}/data > /data
RUN ! {GET} {site}/none
RUN grep -q "buildkit proxy CA begin" /{BUNDLE} && echo more >> /{BUNDLE}
RUN --network=none test -z "$HTTP_PROXY"
RUN ! nc -w1 {site.removeprefix("http://").replace(":", " ")} < /dev/null
"""
    out = tmp_path / "out"
    flags = ["--provenance=mode=max", "-o", f"type=local,dest={out}"]
    said = build(proxied, layout, text, *flags).stderr
    assert f"proxy network requests:\n#8 0.000 - GET {site}/data -> 200" in _plain(said)
    assert (out / "data").read_text() == "from the web\n"
    assert (out / BUNDLE).read_text() == "known\nmore\n"
    predicate = json.loads((out / "provenance.json").read_bytes())["predicate"]
    digest = hashlib.sha256(b"from the web\n").hexdigest()
    material = {"uri": f"{site}/data", "digest": {"sha256": digest}}
    assert material in predicate["buildDefinition"]["resolvedDependencies"]
    network = predicate["runDetails"]["metadata"]["buildkit_metadata"]["network"]
    (missing,) = network["proxy"]["incomplete"]
    assert network["mode"] == "proxy"
    assert (missing["method"], missing["uri"]) == ("GET", f"{site}/none")
    assert missing["reason"] == "unsuccessful_response"
    assert missing["name"].startswith("/bin/sh -c ! env NO_PROXY=")


def _plain(text: str) -> str:
    """With one number and time for all steps."""
    return re.sub(r"#\d+ \d+\.\d+", "#8 0.000", text)


def test_policies_hold_for_steps(proxied: Sandbox, layout: Path, site: str, tmp_path: Path) -> None:
    rules = [
        {"action": "DENY", "selector": {"identifier": f"{site}/none"}},
        {
            "action": "CONVERT",
            "selector": {"identifier": f"{site}/other"},
            "updates": {"identifier": f"{site}/data"},
        },
    ]
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"version": 1, "rules": rules}))
    proxied.extra_env["EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"] = str(policy)
    try:
        text = f"RUN {GET} {site}/other > /data && {GET} -S {site}/none\n"
        done = build(proxied, layout, text, check=False)
    finally:
        del proxied.extra_env["EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"]
    assert done.code == 1
    assert "403 Forbidden" in done.stderr
    assert f"GET {site}/data -> 200" in done.stderr


def test_a_policy_of_the_client_is_asked_for_each_request(
    proxied: Sandbox, layout: Path, site: str, local_registry: str
) -> None:
    image = f"{local_registry}/proxied/base:1"
    copy = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"]
    execute([*copy, f"oci:{layout}:latest", f"docker://{image}"], proxied.env)
    policy = f"""package docker
default allow = false
allow if not input.http
allow if input.http.url == "{site}/data"
decision := {{"allow": allow, "caps": {{"exec.proxy": true}}}}
"""
    text = f"FROM {image}\nRUN {GET} {site}/data && ! {GET} -S {site}/none\n"
    context = proxied.context("policy", {"Dockerfile": text, "Dockerfile.rego": policy})
    done = proxied.croze("build", "--progress=plain", "-o", "type=cacheonly", context)
    assert "policy enabled network proxy" in done.stderr
    assert f"GET {site}/data -> 200" in done.stderr
    assert "403 Forbidden" in done.stderr


def test_complete_materials_are_asked_for_in_vain(
    proxied: Sandbox, layout: Path, site: str
) -> None:
    text = f"RUN ! {GET} {site}/none\n"
    wanted = "--provenance=mode=max,complete-materials=true"
    done = build(proxied, layout, text, wanted, "-o", "type=tar,dest=/dev/null", check=False)
    assert done.code == 1
    assert "Uncaptured requests:" in done.stderr
    assert f"url: {site}/none" in done.stderr
