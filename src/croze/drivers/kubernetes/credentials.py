"""Who we are to a cluster: headers and certificates, from the kubeconfig or from a program that it
names.

Source: Kubernetes `client-go/plugin/pkg/client/auth/exec`, API `client.authentication.k8s.io`.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from croze.drivers.kubernetes.config import Cluster, ExecConfig
from croze.errors import InvalidRequest, PermissionDenied, as_own
from croze.files.settings import read_settings
from croze.gotypes import gojson
from croze.http import keypairs

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
PROGRAM_TIMEOUT_S = 60.0


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""


class _Credential(msgspec.Struct, rename="camel"):
    api_version: str = ""
    status: _Status | None = None


class Identity(Struct, frozen=True):
    """The headers and certificates that say who we are to a cluster. `ssl` is None for a server
    that is spoken to in the clear."""

    headers: Mapping[str, str]
    ssl: ssl.SSLContext | None


async def identity(cluster: Cluster) -> Identity:
    """Who we are to a cluster. Runs the program that the kubeconfig names, if it names one. Raises
    `InvalidRequest`, and `PermissionDenied` when that fails."""
    token, certificate, key = cluster.token, cluster.certificate, cluster.key
    if cluster.token_file:
        token = _token(cluster.token_file)
    if cluster.exec is not None:
        credential = await _asked(cluster.exec, cluster)
        token = credential.token or token
        certificate = credential.client_certificate_data.encode() or certificate
        key = credential.client_key_data.encode() or key
    headers = dict(cluster.act_as)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    elif cluster.login[0]:
        from croze.http.authorization import basic

        headers |= basic(*cluster.login)
    secure = cluster.server.startswith("https://")
    return Identity(headers, _context(cluster, certificate, key) if secure else None)


def _token(path: str) -> str:
    try:
        return read_settings(Path(path)).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"failed to read token file {path}: {as_own(error)}") from None


def _context(cluster: Cluster, certificate: bytes, key: bytes) -> ssl.SSLContext:
    try:
        authority = cluster.authority.decode("ascii") or None
        context = ssl.create_default_context(cadata=authority)
        if certificate:
            _load_chain(context, certificate, key)
    except (OSError, ValueError) as error:
        why = as_own(error)
        raise InvalidRequest(f"the kubeconfig's certificates can't be used: {why}") from None
    if not cluster.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Python reads it from files: this one is in memory alone."""
    file = os.memfd_create("chain", os.MFD_CLOEXEC)
    try:
        os.write(file, certificate.rstrip() + b"\n" + key)
        keypairs.show(context, f"/proc/self/fd/{file}")
    finally:
        os.close(file)


async def _asked(run: ExecConfig, cluster: Cluster) -> _Status:
    if run.api_version not in VERSIONS:
        raise InvalidRequest(
            f"exec plugin: invalid apiVersion {run.api_version!r}: one of {', '.join(VERSIONS)}"
        )
    if run.interactive_mode == "Always" and not sys.stdin.isatty():
        raise InvalidRequest(
            "exec plugin cannot support interactive mode: standard input is no tty"
        )
    env = {**os.environ, **{one.name: one.value for one in run.env or ()}}
    env["KUBERNETES_EXEC_INFO"] = _told(run, cluster)
    pipe = asyncio.subprocess.PIPE
    quiet = None if run.interactive_mode == "Always" else asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            run.command, *(run.args or ()), stdin=quiet, stdout=pipe, env=env
        )
    except OSError as error:
        hint = f"\n{run.install_hint}" if run.install_hint else ""
        raise PermissionDenied(
            f"getting credentials: exec: executable {run.command} not found: {error.strerror}{hint}"
        ) from None
    try:
        async with asyncio.timeout(PROGRAM_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise PermissionDenied(
            f"getting credentials: exec: {run.command} has said nothing in {PROGRAM_TIMEOUT_S:g} s"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise PermissionDenied(
            f"getting credentials: exec: executable {run.command} failed with exit code "
            f"{process.returncode}"
        )
    return _status(output, run)


def _told(run: ExecConfig, cluster: Cluster) -> str:
    spec: dict[str, object] = {"interactive": False}
    if run.provide_cluster_info:
        spec["cluster"] = {"server": cluster.server}
    return json.dumps({"apiVersion": run.api_version, "kind": "ExecCredential", "spec": spec})


def _status(output: bytes, run: ExecConfig) -> _Status:
    try:
        credential = gojson.unmarshal(output, type=_Credential)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise PermissionDenied(f"getting credentials: decoding stdout: {error}") from None
    if credential.api_version != run.api_version or credential.status is None:
        raise PermissionDenied(
            f"getting credentials: exec: {run.command} gave no ExecCredential of {run.api_version} "
            "with a status"
        )
    return credential.status
