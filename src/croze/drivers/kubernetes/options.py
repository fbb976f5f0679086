"""What `--driver-opt` says of a `kubernetes` node, checked and typed.

Source: docker/buildx `driver/kubernetes/factory.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from croze.drivers.images import BUILDKIT_IMAGE, BUILDKIT_ROOTLESS_IMAGE, QEMU_IMAGE
from croze.errors import InvalidRequest
from croze.gotypes.booleans import checked_bool
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote

STICKY, RANDOM = "sticky", "random"
DEFAULT_TIMEOUT = "120s"
ENV = "env."


class KubernetesOptions(Struct, frozen=True):
    """What `--driver-opt` says. `resources` are the amounts as they were given, by option;
    `namespace` is empty for the cluster's own default."""

    image: str = BUILDKIT_IMAGE
    namespace: str = ""
    replicas: int = 1
    rootless: bool = False
    resources: Mapping[str, str] = field(default_factory=dict)
    scheduler: str = ""
    service_account: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    qemu: bool = False
    qemu_image: str = QEMU_IMAGE
    loadbalance: str = STICKY
    default_load: bool = False
    timeout_s: float = 120


RESOURCES = (
    *("requests.cpu", "requests.memory", "requests.ephemeral-storage"),
    *("limits.cpu", "limits.memory", "limits.ephemeral-storage"),
    *("persistent-volume-claim.requests.storage", "buildkit-root-volume-memory"),
)
_OTHERS = (
    *("image", "namespace", "replicas", "rootless", "schedulername", "serviceaccount"),
    *("nodeselector", "annotations", "labels", "tolerations", "loadbalance", "qemu.install"),
    *("qemu.image", "default-load", "timeout"),
)


def parse_options(texts: Mapping[str, str]) -> KubernetesOptions:
    """A node's `--driver-opt` pairs, checked and typed. Raises `InvalidRequest` in buildx's
    words."""
    for key in texts:
        if key == ENV:
            raise InvalidRequest(f'invalid env option "{key}", expecting env.FOO=bar')
        if key not in _OTHERS and key not in RESOURCES and not key.startswith(ENV):
            raise InvalidRequest(f"invalid driver option {key} for driver kubernetes")
    rootless = checked_bool(texts.get("rootless", "false"))
    return KubernetesOptions(
        image=_image(texts),
        namespace=texts.get("namespace", ""),
        replicas=parse_int(texts.get("replicas", "1"), 32),
        rootless=rootless,
        resources={key: texts[key] for key in RESOURCES if texts.get(key)},
        scheduler=texts.get("schedulername", ""),
        service_account=texts.get("serviceaccount", ""),
        node_selector=_pairs(texts, "nodeselector", "node selector"),
        annotations=_pairs(texts, "annotations", "annotations"),
        labels=_pairs(texts, "labels", "labels"),
        tolerations=_tolerations(texts.get("tolerations")),
        env={key.removeprefix(ENV): value for key, value in texts.items() if key.startswith(ENV)},
        qemu=checked_bool(texts.get("qemu.install", "false")),
        qemu_image=texts.get("qemu.image") or QEMU_IMAGE,
        loadbalance=_loadbalance(texts.get("loadbalance", STICKY)),
        default_load=checked_bool(texts.get("default-load", "false")),
        timeout_s=_timeout(texts.get("timeout", DEFAULT_TIMEOUT)),
    )


def _image(texts: Mapping[str, str]) -> str:
    """The image, as in buildx: who says anything of `rootless` gets that one unless `image` is
    there."""
    if "image" in texts:
        return texts["image"] or BUILDKIT_IMAGE
    return BUILDKIT_ROOTLESS_IMAGE if "rootless" in texts else BUILDKIT_IMAGE


def _pairs(texts: Mapping[str, str], option: str, what: str) -> dict[str, str]:
    if option not in texts:
        return {}
    pairs: dict[str, str] = {}
    for pair in texts[option].strip('"').split(","):
        key, equals, value = pair.partition("=")
        if not equals or "=" in value:
            raise InvalidRequest(f"cannot parse {what}: invalid key-value pair: {pair}")
        pairs[key] = value
    return pairs


_Value = Callable[[str], object]
_TOLERATION: Mapping[str, _Value] = {
    "key": str,
    "operator": str,
    "value": str,
    "effect": str,
    "tolerationSeconds": lambda text: parse_int(text, call="Atoi"),
}


def _tolerations(text: str | None) -> tuple[Mapping[str, object], ...]:
    """`key=a,operator=Exists;key=b,…`; words without `=` say nothing, as in buildx."""
    if text is None:
        return ()
    return tuple(_toleration(one, text) for one in text.split(";"))


def _toleration(one: str, whole: str) -> Mapping[str, object]:
    toleration: dict[str, object] = {}
    for word in one.split(","):
        key, equals, value = word.partition("=")
        if not equals or "=" in value:
            continue
        if key not in _TOLERATION:
            raise InvalidRequest(f"invalid tolaration {quote(whole)}")
        if (read := _TOLERATION[key](value)) != "":
            toleration[key] = read
    return toleration


def _loadbalance(text: str) -> str:
    if text not in (STICKY, RANDOM):
        raise InvalidRequest(f"invalid loadbalance {quote(text)}")
    return text


def _timeout(text: str) -> float:
    try:
        return parse_duration(text) / 1e9
    except DurationError as error:
        raise InvalidRequest(f"cannot parse timeout: {error}") from None
