"""Which cluster, and who we are there: kubeconfig files, or the account of the pod that we run in.

Source: Kubernetes `client-go/tools/clientcmd` (several files in `KUBECONFIG`: of each name, and of
`current-context`, the first counts; relative paths are the file's own), `rest.InClusterConfig`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from croze.errors import InvalidRequest, NotFound
from croze.files.settings import read_settings
from croze.http.urls import parse_url

DEFAULT_NAMESPACE = "default"
ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NO_NAMESPACE = "cannot determine Kubernetes namespace, specify manually"
"""What buildx says before whatever is wrong: the namespace is what it looks for first."""
NO_CONFIG = (
    "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER "
    "environment variable"
)


class _Cluster(msgspec.Struct, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class ExecEnv(msgspec.Struct):
    name: str
    value: str = ""


class ExecConfig(msgspec.Struct, rename="camel"):
    """A program that says who we are."""

    command: str
    api_version: str = ""
    args: tuple[str, ...] | None = None
    env: tuple[ExecEnv, ...] | None = None
    install_hint: str = ""
    interactive_mode: str = ""
    provide_cluster_info: bool = False


class _User(msgspec.Struct, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    act_as: str = msgspec.field(default="", name="as")
    act_as_groups: tuple[str, ...] | None = msgspec.field(default=None, name="as-groups")
    act_as_uid: str = msgspec.field(default="", name="as-uid")
    exec: ExecConfig | None = None
    auth_provider: dict[str, object] | None = None


class _Context(msgspec.Struct):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: _Cluster = msgspec.field(default_factory=_Cluster)


class _NamedUser(msgspec.Struct):
    name: str
    user: _User = msgspec.field(default_factory=_User)


class _NamedContext(msgspec.Struct):
    name: str
    context: _Context = msgspec.field(default_factory=_Context)


class _File(msgspec.Struct, rename="kebab"):
    clusters: tuple[_NamedCluster, ...] | None = None
    users: tuple[_NamedUser, ...] | None = None
    contexts: tuple[_NamedContext, ...] | None = None
    current_context: str = ""


class Cluster(Struct, frozen=True):
    """An API server and how to be let in. Certificates are PEM; `authority` is empty for those of
    the system."""

    server: str
    namespace: str = DEFAULT_NAMESPACE
    authority: bytes = b""
    verify: bool = True
    server_name: str = ""
    proxy: str = ""
    certificate: bytes = b""
    key: bytes = b""
    token: str = ""
    token_file: str = ""
    """Read anew for every use: who runs the pod changes it."""
    login: tuple[str, str] = ("", "")
    act_as: Mapping[str, str] = field(default_factory=dict)
    """Headers that ask to be somebody else."""
    exec: ExecConfig | None = None


def cluster_of(endpoint: str) -> Cluster:
    """The cluster that a node's endpoint names: the kubeconfig in `kubernetes:///…?kubeconfig=`,
    else the user's, else the one that we run in. Raises `InvalidRequest`."""
    explicit = ""
    if endpoint.startswith("kubernetes://"):
        explicit = parse_qs(parse_url(endpoint).query).get("kubeconfig", [""])[0]
    try:
        return load([explicit] if explicit else default_files(), explicit=bool(explicit))
    except NotFound as error:
        if inside := in_cluster():
            return inside
        raise InvalidRequest(f"{NO_NAMESPACE}: {error}") from None


def default_files() -> list[str]:
    listed = [path for path in os.environ.get("KUBECONFIG", "").split(":") if path]
    return listed or [os.path.expanduser("~/.kube/config")]


def load(paths: Sequence[str], *, explicit: bool = False) -> Cluster:
    """The cluster that these kubeconfigs, merged, tell of; those that are not there left out unless
    one was named. Raises `NotFound` if no cluster is told of, `InvalidRequest` for a file that
    can't be read."""
    merged = _Known()
    for path in dict.fromkeys(paths):
        file = _read(path, explicit=explicit)
        if file is not None:
            merged.add(file, os.path.dirname(os.path.abspath(path)))
    if not merged.clusters:
        raise NotFound(NO_CONFIG)
    if merged.current and merged.current not in merged.contexts:
        raise NotFound(f'invalid configuration: context "{merged.current}" does not exist')
    context = merged.contexts.get(merged.current, _Context())
    cluster = merged.clusters.get(context.cluster)
    if cluster is None or not cluster.server:
        raise NotFound(NO_CONFIG)
    return _merged(cluster, merged.users.get(context.user, _User()), context)


class _Known(Struct):
    """What the merged say so far; what was said first stays."""

    clusters: dict[str, _Cluster] = field(default_factory=dict)
    users: dict[str, _User] = field(default_factory=dict)
    contexts: dict[str, _Context] = field(default_factory=dict)
    current: str = ""

    def add(self, file: _File, folder: str) -> None:
        for cluster in file.clusters or ():
            self.clusters.setdefault(cluster.name, _placed_cluster(cluster.cluster, folder))
        for user in file.users or ():
            self.users.setdefault(user.name, _placed_user(user.user, folder))
        for context in file.contexts or ():
            self.contexts.setdefault(context.name, context.context)
        self.current = self.current or file.current_context


def _read(path: str, *, explicit: bool) -> _File | None:
    import yaml

    try:
        data = read_settings(Path(path))
    except FileNotFoundError:
        if explicit:
            raise NotFound(f"stat {path}: no such file or directory") from None
        return None
    except OSError as error:
        raise InvalidRequest(
            f'{NO_NAMESPACE}: error loading config file "{path}": {error.strerror}'
        ) from None
    try:
        loaded = yaml.safe_load(data)
        return msgspec.convert(loaded or {}, _File)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError) as error:
        raise InvalidRequest(
            f'{NO_NAMESPACE}: error loading config file "{path}": {error}'
        ) from None


def _placed_cluster(cluster: _Cluster, folder: str) -> _Cluster:
    authority = _placed(folder, cluster.certificate_authority)
    return msgspec.structs.replace(cluster, certificate_authority=authority)


def _placed_user(user: _User, folder: str) -> _User:
    placed = msgspec.structs.replace(
        user,
        client_certificate=_placed(folder, user.client_certificate),
        client_key=_placed(folder, user.client_key),
        token_file=_placed(folder, user.token_file),
    )
    if user.exec is not None and "/" in user.exec.command:
        run = msgspec.structs.replace(user.exec, command=_placed(folder, user.exec.command))
        placed = msgspec.structs.replace(placed, exec=run)
    return placed


def _placed(folder: str, path: str) -> str:
    return os.path.join(folder, path) if path else ""


def _merged(cluster: _Cluster, user: _User, context: _Context) -> Cluster:
    if user.auth_provider is not None:
        raise no_auth_provider(user.auth_provider)
    return Cluster(
        server=cluster.server.rstrip("/"),
        namespace=context.namespace or DEFAULT_NAMESPACE,
        authority=_pem(cluster.certificate_authority_data, cluster.certificate_authority),
        verify=not cluster.insecure_skip_tls_verify,
        server_name=cluster.tls_server_name,
        proxy=checked_proxy(cluster.proxy_url),
        certificate=_pem(user.client_certificate_data, user.client_certificate),
        key=_pem(user.client_key_data, user.client_key),
        token=user.token,
        token_file=user.token_file,
        login=(user.username, user.password),
        act_as=_act_as(user),
        exec=user.exec,
    )


def no_auth_provider(provider: Mapping[str, object]) -> InvalidRequest:
    name = provider.get("name", "")
    return InvalidRequest(
        f"the auth provider {name!r} of the kubeconfig was taken out of Kubernetes: use an "
        "exec plugin in its place (kubectl's documentation names one for each)"
    )


def checked_proxy(url: str) -> str:
    """The URL, if it is of a proxy that can be used. Raises `InvalidRequest`."""
    if url and parse_url(url).scheme not in ("http", "https"):
        raise InvalidRequest(f"proxy-url: {url}: only http:// and https:// are supported")
    return url


def _act_as(user: _User) -> dict[str, str]:
    groups = user.act_as_groups or ()
    if len(groups) > 1:
        raise InvalidRequest("as-groups: more than one group is not supported")
    headers = {
        "Impersonate-User": user.act_as,
        "Impersonate-Uid": user.act_as_uid,
        "Impersonate-Group": "".join(groups),
    }
    return {name: value for name, value in headers.items() if value}


def _pem(data: str, path: str) -> bytes:
    """What the kubeconfig holds itself comes before what it names."""
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise InvalidRequest(f"a certificate in the kubeconfig is no base64: {error}") from None
    if not path:
        return b""
    try:
        return read_settings(Path(path))
    except OSError as error:
        raise InvalidRequest(f"unable to read {path}: {error.strerror}") from None


def in_cluster(folder: Path = ACCOUNT_DIR) -> Cluster | None:
    """The cluster that this process runs in, by the account of its pod; None outside a pod."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "")
    token = folder / "token"
    if not (host and port and token.exists()):
        return None
    name = f"[{host}]" if ":" in host else host
    cluster = Cluster(f"https://{name}:{port}", token_file=str(token))
    authority, namespace = folder / "ca.crt", folder / "namespace"
    if authority.exists():
        cluster = replace(cluster, authority=read_settings(authority))
    if namespace.exists():
        cluster = replace(cluster, namespace=read_settings(namespace).decode().strip())
    return cluster
