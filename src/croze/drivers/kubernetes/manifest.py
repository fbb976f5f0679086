"""The objects that a node is made of: a Deployment or, with a volume that persists, a StatefulSet,
and ConfigMaps with the daemon's settings.

Equal to those of docker/buildx `driver/kubernetes/manifest`, including what looks like a slip
there: `requests.ephemeral-storage` counts as a limit, the AppArmor annotation of a rootless pod is
on the object as well, and a persistent volume takes the place of all other mounts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from croze.drivers.kubernetes.options import KubernetesOptions
from croze.drivers.kubernetes.quantity import canonical
from croze.errors import InvalidRequest
from croze.gotypes.gojson import omit_empty
from croze.image import platform as platforms
from croze.image.platform import Platform

CONTAINER = "buildkitd"
PLATFORM_ANNOTATION = "buildx.docker.com/platform"
APP_LABEL = "app"
CONFIG_DIR = "/etc/buildkit"
STATE_DIR = "/var/lib/buildkit"
ROOTLESS_STATE_DIR = "/home/user/.local/share/buildkit"
MEMORY_VOLUME = "buildkit-memory"
STATE_VOLUME = "buildkitd"
PERSISTENT = "persistent-volume-claim.requests.storage"
ROOT_MEMORY = "buildkit-root-volume-memory"
PROBE = {
    "exec": {"command": ["buildctl", "debug", "workers"]},
    "failureThreshold": 3,
    "initialDelaySeconds": 5,
    "periodSeconds": 30,
    "successThreshold": 1,
    "timeoutSeconds": 60,
}
# Which member of `resources` an option sets; the second is buildx's slip.
_RESOURCES = {
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "requests.ephemeral-storage": ("limits", "ephemeral-storage"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
    "limits.ephemeral-storage": ("limits", "ephemeral-storage"),
}

Object = dict[str, object]
"""An object of Kubernetes, as JSON has it."""


class Manifests(Struct, frozen=True):
    """The objects of one node. `kind` is where the workload is, in Kubernetes' paths; `selector`
    finds its pods."""

    name: str
    kind: str
    workload: Object
    config_maps: Sequence[Object]
    labels: Mapping[str, str]

    @property
    def selector(self) -> str:
        return ",".join(f"{key}={self.labels[key]}" for key in sorted(self.labels))


class _Pod(Struct):
    """What the parts of a pod are gathered in."""

    labels: dict[str, str]
    annotations: dict[str, str]
    args: list[str]
    security: Object = field(default_factory=lambda: {"privileged": True})
    mounts: list[Object] = field(default_factory=list)
    volumes: list[Object] = field(default_factory=list)


def manifests(
    name: str,
    options: KubernetesOptions,
    *,
    flags: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    fixed: Sequence[Platform] = (),
) -> Manifests:
    """The objects to create for a node. Raises `InvalidRequest` for amounts that are none, and for
    labels that are the driver's."""
    pod = _Pod(_labels(name, options), _annotations(options, fixed), list(flags))
    maps = _configured(name, pod, files or {})
    if options.rootless:
        _make_rootless(pod, options)
    resources = _resources(options)
    if (memory := options.resources.get(ROOT_MEMORY)) and not options.rootless:
        _mount(pod, MEMORY_VOLUME, STATE_DIR, {"emptyDir": _in_memory(memory)})
    persistent = options.resources.get(PERSISTENT, "")
    claims = [_claim(persistent)] if persistent else []
    if persistent and not options.rootless:
        pod.mounts = [{"name": STATE_VOLUME, "mountPath": STATE_DIR}]
    meta = {"name": name, **_metadata(pod)}
    template = {"metadata": _metadata(pod), "spec": _pod_spec(pod, options, resources)}
    spec: Object = {"replicas": options.replicas, "selector": {"matchLabels": pod.labels}}
    spec["template"] = template
    if claims:
        spec |= {"serviceName": "buildkitd", "podManagementPolicy": "Parallel"}
        spec["volumeClaimTemplates"] = claims
    kind = "StatefulSet" if claims else "Deployment"
    workload: Object = {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec}
    for one in maps:
        one["metadata"] = {**_object(one["metadata"]), **_annotated(pod)}
    return Manifests(name, f"{kind.lower()}s", workload, maps, pod.labels)


def _object(value: object) -> Object:
    assert isinstance(value, dict)
    return value


def _labels(name: str, options: KubernetesOptions) -> dict[str, str]:
    if APP_LABEL in options.labels:
        raise InvalidRequest(f'the label "{APP_LABEL}" is reserved and cannot be customized')
    return {APP_LABEL: name, **options.labels}


def _annotations(options: KubernetesOptions, fixed: Sequence[Platform]) -> dict[str, str]:
    if PLATFORM_ANNOTATION in options.annotations:
        raise InvalidRequest(
            f'the annotation "{PLATFORM_ANNOTATION}" is reserved and cannot be customized'
        )
    listed = ",".join(platforms.format(platforms.normalize(one)) for one in fixed)
    return {**({PLATFORM_ANNOTATION: listed} if listed else {}), **options.annotations}


def _annotated(pod: _Pod) -> Object:
    return {"annotations": pod.annotations} if pod.annotations else {}


def _metadata(pod: _Pod) -> Object:
    return {"labels": pod.labels, **_annotated(pod)}


def _mount(pod: _Pod, volume: str, path: str, source: Object) -> None:
    pod.mounts.append({"name": volume, "mountPath": path})
    pod.volumes.append({"name": volume, **source})


def _configured(name: str, pod: _Pod, files: Mapping[str, bytes]) -> list[Object]:
    """The files, mounted from one ConfigMap a directory."""
    directories: dict[str, dict[str, str]] = {}
    for path in sorted(files, key=lambda path: ("/" in path, path)):
        folder, _, file = path.rpartition("/")
        directories.setdefault(folder, {})[file] = files[path].decode(errors="replace")
    maps: list[Object] = []
    number = 0
    for folder, data in directories.items():
        number += bool(folder)
        volume = f"config-{number}" if folder else "config"
        _mount(
            pod,
            volume,
            posixpath.join(CONFIG_DIR, folder).rstrip("/"),
            {"configMap": {"name": f"{name}-{volume}"}},
        )
        meta: Object = {"name": f"{name}-{volume}"}
        maps.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    return maps


def _make_rootless(pod: _Pod, options: KubernetesOptions) -> None:
    pod.args.append("--oci-worker-no-process-sandbox")
    pod.security = {"seccompProfile": {"type": "Unconfined"}}
    key = f"container.apparmor.security.beta.kubernetes.io/{CONTAINER}"
    pod.annotations[key] = "unconfined"
    memory = options.resources.get(ROOT_MEMORY, "")
    source = _in_memory(memory) if memory else {}
    _mount(pod, STATE_VOLUME, ROOTLESS_STATE_DIR, {"emptyDir": source})


def _in_memory(size: str) -> Object:
    return {"medium": "Memory", "sizeLimit": canonical(size)}


def _resources(options: KubernetesOptions) -> Object:
    resources: dict[str, dict[str, str]] = {}
    for option, (group, resource) in _RESOURCES.items():
        if amount := options.resources.get(option):
            resources.setdefault(group, {})[resource] = canonical(amount)
    return dict(resources)


def _claim(size: str) -> Object:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": canonical(size)}},
    }
    return {"metadata": {"name": STATE_VOLUME}, "spec": spec}


def _pod_spec(pod: _Pod, options: KubernetesOptions, resources: Object) -> Object:
    container: Object = {
        "name": CONTAINER,
        "image": options.image,
        "args": pod.args,
        "securityContext": pod.security,
        "readinessProbe": PROBE,
        "livenessProbe": PROBE,
        "resources": resources,
        "volumeMounts": pod.mounts,
        "env": [{"name": key, "value": value} for key, value in options.env.items()],
    }
    spec: Object = {
        "serviceAccountName": options.service_account,
        "schedulerName": options.scheduler,
        "containers": [omit_empty(**container)],
        "volumes": pod.volumes,
        "nodeSelector": dict(options.node_selector),
        "tolerations": [dict(one) for one in options.tolerations],
        "initContainers": [_qemu(options)] if options.qemu else [],
    }
    return omit_empty(**spec)


def _qemu(options: KubernetesOptions) -> Object:
    return {
        "name": "qemu",
        "image": options.qemu_image,
        "args": ["--install", "all"],
        "securityContext": {"privileged": True},
    }
