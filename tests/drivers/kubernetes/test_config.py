"""Which cluster, and who we are there."""

from __future__ import annotations

import base64
import json
import ssl
import sys
from pathlib import Path

import pytest

from croze.builders.contexts import KubernetesEndpoint, TlsFiles
from croze.drivers.kubernetes.config import (
    NO_NAMESPACE,
    Cluster,
    ExecConfig,
    cluster_of,
    in_cluster,
    load,
)
from croze.drivers.kubernetes.contexts import cluster_of_context
from croze.drivers.kubernetes.credentials import identity
from croze.errors import InvalidRequest, PermissionDenied
from tests.support.certificates import make_certificate
from tests.support.kubernetes import write_kubeconfig

VERSION = "client.authentication.k8s.io/v1"


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In no pod, and at home nowhere."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def kubeconfig(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


FIRST = """\
clusters:
- {name: a, cluster: {server: "https://a/base/", insecure-skip-tls-verify: true}}
contexts:
- {name: x, context: {cluster: a, user: u, namespace: builds}}
users:
- {name: u, user: {tokenFile: token}}
"""
SECOND = """\
current-context: x
clusters:
- {name: a, cluster: {server: "https://other"}}
- {name: b, cluster: {server: "https://b", tls-server-name: kube}}
contexts:
- {name: x, context: {cluster: b}}
- {name: y, context: {cluster: b, user: v}}
users:
- {name: v, user: {username: me, password: mine, as: other, as-groups: [g]}}
"""


def test_of_several_files_the_first_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = kubeconfig(tmp_path / "1", FIRST), kubeconfig(tmp_path / "2", SECOND)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none:{first}:{second}")
    assert cluster_of("default") == Cluster(
        "https://a/base", "builds", verify=False, token_file=str(tmp_path / "token")
    )


async def test_a_context_brings_its_cluster_and_its_user(tmp_path: Path) -> None:
    text = SECOND.replace("current-context: x", "current-context: y")
    found = load([str(kubeconfig(tmp_path / "2", text))])
    assert (found.server, found.namespace, found.server_name) == ("https://b", "default", "kube")
    login = base64.b64encode(b"me:mine").decode()
    assert (await identity(found)).headers == {
        "Impersonate-User": "other",
        "Impersonate-Group": "g",
        "Authorization": f"Basic {login}",
    }


def test_the_endpoint_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kubeconfig(tmp_path / "1", f"{FIRST}current-context: x\n")
    monkeypatch.setenv("KUBECONFIG", str(first))
    named = kubeconfig(tmp_path / "a&b", SECOND)
    quoted = str(named).replace("&", "%26")
    endpoint = f"kubernetes:///name?deployment=d&kubeconfig={quoted}"
    assert cluster_of(endpoint).server == "https://b"
    assert cluster_of("kubernetes:///name?deployment=d").server == "https://a/base"


def test_a_pod_s_own_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("token", "t\n"), ("namespace", "ns\n"), ("ca.crt", "CA")):
        (tmp_path / name).write_text(text)
    assert in_cluster(tmp_path) is None
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert in_cluster(tmp_path) == Cluster(
        "https://[fd00::1]:443", "ns", b"CA", token_file=str(tmp_path / "token")
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clusters: [", '{none}: error loading config file "{path}"'),
        ("clusters: 1", '{none}: error loading config file "{path}"'),
        (
            "a" * 10 + ": &a [*a]",
            "{none}: invalid configuration: no configuration has been provided",
        ),
        ("{}", "{none}: invalid configuration: no configuration has been provided"),
        (
            SECOND.replace("current-context: x", ""),
            "{none}: invalid configuration: no configuration",
        ),
        (
            SECOND.replace("current-context: x", "current-context: z"),
            '{none}: invalid configuration: context "z" does not exist',
        ),
        (FIRST + "current-context: x\n", "unable to read"),
        (
            FIRST.replace("tokenFile: token", "as: a, as-groups: [b, c]") + "current-context: x",
            "as-groups: more than one group is not supported",
        ),
        (
            FIRST.replace("tokenFile: token", "auth-provider: {name: gcp}") + "current-context: x",
            "the auth provider 'gcp' of the kubeconfig was taken out of Kubernetes",
        ),
        (
            SECOND.replace("tls-server-name: kube", "proxy-url: 'socks5://p'"),
            "proxy-url: socks5://p: only http:// and https:// are supported",
        ),
        (
            SECOND.replace("tls-server-name: kube", "certificate-authority-data: '!'"),
            "a certificate in the kubeconfig is no base64",
        ),
    ],
)
def test_what_can_not_be(text: str, said: str, tmp_path: Path) -> None:
    if said == "unable to read":
        text = text.replace("insecure-skip-tls-verify: true", "certificate-authority: nothing.pem")
    path = kubeconfig(tmp_path / "config", text)
    with pytest.raises(InvalidRequest) as caught:
        cluster_of(f"kubernetes:///n?kubeconfig={path}")
    assert str(caught.value).startswith(said.format(path=path, none=NO_NAMESPACE))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"stat .*/none: no such file or directory"):
        cluster_of(f"kubernetes:///n?kubeconfig={tmp_path}/none")


async def test_certificates_stay_in_memory(tmp_path: Path) -> None:
    """Of a user, inline, and of the server."""
    made = make_certificate()
    user = {
        "client-certificate-data": base64.b64encode(made.pem).decode(),
        "client-key-data": base64.b64encode(made.key).decode(),
    }
    (tmp_path / "ca.pem").write_bytes(made.pem)
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", **user)
    before = sorted(tmp_path.iterdir())
    who = await identity(load([str(path)]))
    assert who.ssl is not None
    assert len(who.ssl.get_ca_certs()) == 1
    assert who.ssl.verify_mode is ssl.CERT_REQUIRED
    assert sorted(tmp_path.iterdir()) == before


async def test_a_certificate_without_its_key(tmp_path: Path) -> None:
    made = make_certificate()
    (tmp_path / "ca.pem").write_bytes(made.pem)
    (tmp_path / "cert.pem").write_bytes(made.pem)
    user = {"client-certificate": "cert.pem"}
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", **user)
    with pytest.raises(InvalidRequest, match="the kubeconfig's certificates can't be used"):
        await identity(load([str(path)]))


PROGRAM = """\
#!{python}
import json, os, sys
told = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
token = " ".join([sys.argv[1], os.environ["MINE"], told["apiVersion"], str(told["spec"])])
told = {{"apiVersion": {version!r}, "kind": "ExecCredential", "status": {{"token": token}}}}
print(json.dumps(told))
"""


def program_user(tmp_path: Path, text: str, **more: object) -> dict[str, object]:
    program = tmp_path / "helper"
    program.write_text(text.format(python=sys.executable, version=VERSION))
    program.chmod(0o755)
    run: dict[str, object] = {
        "command": "./helper",
        "apiVersion": VERSION,
        "args": ["arg"],
        "env": [{"name": "MINE", "value": "yes"}],
    }
    return {"exec": {**run, **more}}


async def test_a_program_says_who_we_are(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(make_certificate().pem)
    user = program_user(tmp_path, PROGRAM)
    path = write_kubeconfig(tmp_path / "config", "https://h", **user)
    headers = (await identity(load([str(path)]))).headers
    assert headers == {"Authorization": f"Bearer arg yes {VERSION} {{'interactive': False}}"}


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("#!/bin/sh\nexit 3\n", {}, "helper failed with exit code 3"),
        ("#!/bin/sh\necho no\n", {}, "decoding stdout"),
        ("#!/bin/sh\necho '{{}}'\n", {}, "gave no ExecCredential of"),
        (PROGRAM, {"command": "./nothing", "installHint": "get it"}, "not found: .*\nget it"),
        (PROGRAM, {"apiVersion": "v1alpha1"}, "invalid apiVersion 'v1alpha1'"),
        (PROGRAM, {"interactiveMode": "Always"}, "cannot support interactive mode"),
    ],
)
async def test_a_program_that_does_not(
    text: str, more: dict[str, object], said: str, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes(make_certificate().pem)
    user = program_user(tmp_path, text, **more)
    path = write_kubeconfig(tmp_path / "config", "https://h", **user)
    with pytest.raises((PermissionDenied, InvalidRequest), match=said):
        await identity(load([str(path)]))


def test_the_kubeconfig_of_tests_is_one(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    path = write_kubeconfig(tmp_path / "config", "https://h")
    assert json.loads(path.read_text())["kind"] == "Config"
    assert load([str(path)]).authority == b"CA"


def test_a_docker_context_names_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("authority")
    settings: dict[str, object] = {
        "Host": "https://cluster:6443/",
        "SkipTLSVerify": False,
        "DefaultNamespace": "builds",
        "Exec": {"command": "login", "apiVersion": VERSION, "args": None, "env": None},
        "usernamePassword": {"username": "me", "password": "mine"},
        "token": "t",
    }
    tls = TlsFiles(ca=tmp_path / "ca.pem")
    found = cluster_of_context(KubernetesEndpoint(tmp_path / "meta.json", settings, tls))
    assert found == Cluster(
        "https://cluster:6443",
        "builds",
        authority=b"authority",
        token="t",
        login=("me", "mine"),
        exec=ExecConfig("login", VERSION),
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, r"meta\.json: Endpoints\.kubernetes\.Host: no address"),
        ({"Host": 1}, r"meta\.json: Endpoints\.kubernetes: Expected `str`"),
        ({"Host": "h", "ProxyURL": "socks5://p"}, "proxy-url: socks5://p"),
        ({"Host": "h", "AuthProvider": {"name": "gcp"}}, "auth provider 'gcp'"),
    ],
)
def test_what_a_docker_context_can_not_name(
    settings: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        cluster_of_context(KubernetesEndpoint(tmp_path / "meta.json", settings, TlsFiles()))
