"""`--set`: values for fields of targets, from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct, field

from croze.bake.errors import BakeError
from croze.bake.options.entries import (
    ATTESTS,
    CACHES,
    OUTPUTS,
    SECRETS,
    SSH,
    CacheEntry,
    E,
    OutputEntry,
    SecretEntry,
)
from croze.bake.options.policy import parse_policy
from croze.bake.options.resources import ResourceLimits
from croze.bake.target import Target
from croze.gotypes import glob
from croze.gotypes.booleans import parse_bool
from croze.gotypes.quote import quote

_GATHERED = frozenset(
    [
        "output",
        "cache-to",
        "cache-from",
        "tags",
        "platform",
        "secrets",
        "ssh",
        "attest",
        "entitlements",
        "network",
        "annotations",
        "policy",
    ]
)
_NAMED = frozenset(("args", "contexts", "labels", "extra-hosts", "resources", "secret"))


class Override(Struct):
    """All that was given for one key: the last value, or every one for keys that gather."""

    value: str = ""
    values: list[str] = field(default_factory=list)
    append: bool = False


class GrantedPrivileges(Struct):
    """What the command line itself asks for, which it need not allow as well."""

    read: list[str] = field(default_factory=list)
    write: list[str] = field(default_factory=list)
    network_host: bool = False
    security_insecure: bool = False


Overrides = dict[str, dict[str, Override]]
"""By target and by key (with the name behind it, as in `args.NAME`)."""


def parse_overrides(
    texts: Iterable[str], names: Sequence[str], environment: Mapping[str, str]
) -> Overrides:
    """`pattern.key[.name][+]=value`, for each target whose name fits the pattern."""
    overrides: Overrides = {}
    name_set = frozenset(names)
    for text in texts:
        raw_key, equals, value = text.partition("=")
        appends = raw_key.endswith("+")
        full_key = raw_key.removesuffix("+")
        keys = full_key.split(".", 2)
        if len(keys) < 2:
            raise BakeError(f"invalid override key {full_key}, expected target.name")
        if not equals and keys[1] != "args":
            raise BakeError(f"invalid override {text}, expected target.name=value")
        for name in _expand(keys[0], names, name_set):
            override = _read(keys, raw_key, value if equals else None, appends, environment)
            if override is not None:
                _add(overrides.setdefault(name, {}), keys[1:], override)
            else:
                overrides.setdefault(name, {})
    return overrides


def _expand(pattern: str, names: Sequence[str], name_set: frozenset[str]) -> Sequence[str]:
    if pattern in name_set:
        return [pattern]
    try:
        compiled = glob.compile_glob(pattern)
    except glob.BadPattern as error:
        raise BakeError(f"could not match targets with '{pattern}': {error}") from None
    matching = [name for name in names if compiled.matches(name)]
    if not matching:
        raise BakeError(f"could not find any target matching '{pattern}'")
    return matching


def _read(
    keys: list[str],
    raw_key: str,
    value: str | None,
    appends: bool,
    environment: Mapping[str, str],
) -> Override | None:
    """One override; None for an argument that takes its value from where it has none."""
    key = keys[1]
    if key in _GATHERED:
        return Override("", [] if value is None else [value], appends)
    if key in ("resources", "secret"):
        if len(keys) != 3:
            raise BakeError(f"invalid key {raw_key}, {key} requires name")
        if appends:
            raise BakeError(f"invalid key {raw_key}, {key} does not support append")
    if key == "args":
        if len(keys) != 3:
            raise BakeError(f"invalid key {raw_key}, args requires name")
        if value is None:
            return Override(environment[keys[2]]) if keys[2] in environment else None
    if key == "contexts" and len(keys) != 3:
        raise BakeError(f"invalid key {raw_key}, contexts requires name")
    # As in the original, keys that do not gather do not append either.
    return Override(value or "")


def _add(overrides: dict[str, Override], keys: list[str], override: Override) -> None:
    full = ".".join(keys)
    before = overrides.get(full)
    if before is not None and keys[0] in _GATHERED:
        override.values = [*before.values, *override.values]
    overrides[full] = override


def apply_overrides(
    target: Target, overrides: Mapping[str, Override], granted: GrantedPrivileges
) -> None:
    """Change the target as the overrides say."""
    secrets: dict[str, Override] = {}
    allowed: set[str] = set()
    for full, override in overrides.items():
        key, dot, name = full.partition(".")
        if key in _NAMED and not dot:
            example = {"extra-hosts": "<hostname>=<ip>", "secret": "<id>=<value>"}
            shape = example.get(key, "<name>=<value>")
            raise BakeError(f"invalid format for {key}, expecting {key}.{shape}")
        if key == "secret":
            secrets[name] = override
        elif key == "secrets":
            entries = _entries(SECRETS.from_texts, override.values)
            allowed.update(each.id for each in entries)
            target.secret = SECRETS.merged(target.secret, entries) if override.append else entries
        elif key in _NAMED:
            _set_named(target, key, name, override.value)
        else:
            _set(target, key, override, granted)
    for id_, override in secrets.items():
        _replace_secret(target, id_, override.value)
        allowed.add(id_)
    granted.read += [each.src for each in target.secret or () if each.id in allowed and each.src]


def _entries(read: Callable[[Sequence[str]], list[E]], values: Sequence[str]) -> list[E]:
    try:
        return read(values)
    except BakeError as error:
        raise error.wrap("invalid value for outputs") from None


def _set_named(target: Target, key: str, name: str, value: str) -> None:
    match key:
        case "args":
            target.args = {**(target.args or {}), name: value}
        case "labels":
            target.labels = {**(target.labels or {}), name: value}
        case "extra-hosts":
            target.extra_hosts = {**(target.extra_hosts or {}), name: value}
        case "contexts":
            target.contexts = {**(target.contexts or {}), name: value}
        case "resources":
            target.resources = (target.resources or ResourceLimits()).with_field(name, value)


def _set(target: Target, key: str, override: Override, granted: GrantedPrivileges) -> None:
    value = override.value
    match key:
        case "context":
            target.context = value
        case "dockerfile":
            target.dockerfile = value
        case "target":
            target.target = value
        case "call":
            target.call = value
        case "shm-size":
            target.shm_size = value
        case "network":
            target.network = value
        case "no-cache":
            target.no_cache = _bool(key, value)
        case "pull":
            target.pull = _bool(key, value)
        case "push":
            target.output = _pushed(target.output, _bool(key, value))
        case "load":
            if _bool(key, value):
                target.output = _loaded(target.output)
        case _:
            _set_list(target, key, override, granted)


def _set_list(target: Target, key: str, override: Override, granted: GrantedPrivileges) -> None:
    values, append = override.values, override.append
    match key:
        case "tags":
            target.tags = _joined(target.tags, values, append)
        case "platform":
            target.platforms = _joined(target.platforms, values, append)
        case "no-cache-filter":
            target.no_cache_filter = _joined(target.no_cache_filter, values, append)
        case "ulimits":
            target.ulimits = _joined(target.ulimits, values, append)
        case "annotations":
            target.annotations = _joined(target.annotations, values, True)
        case "entitlements":
            target.entitlements = _joined(target.entitlements, values, True)
            granted.network_host |= "network.host" in values
            granted.security_insecure |= "security.insecure" in values
        case "attest":
            try:
                attests = ATTESTS.from_texts(values)
            except BakeError as error:
                raise error.wrap("invalid value for attest") from None
            target.attest = ATTESTS.merged(target.attest, attests)
        case "policy":
            before = (target.policy or []) if append else []
            target.policy = [*before, *(parse_policy(each) for each in values)]
        case _:
            _set_entries(target, key, override, granted)


def _joined(before: list[str] | None, values: Sequence[str], append: bool) -> list[str]:
    return [*(before or ()), *values] if append else list(values)


def _set_entries(target: Target, key: str, override: Override, granted: GrantedPrivileges) -> None:
    values, append = override.values, override.append
    match key:
        case "cache-from":
            caches = CACHES.from_texts(values)
            target.cache_from = CACHES.merged(target.cache_from, caches) if append else caches
            granted.read += _local(target.cache_from or (), "src")
        case "cache-to":
            caches = CACHES.from_texts(values)
            target.cache_to = CACHES.merged(target.cache_to, caches) if append else caches
            granted.write += _local(target.cache_to or (), "dest")
        case "ssh":
            agents = _entries(SSH.from_texts, values)
            target.ssh = SSH.merged(target.ssh, agents) if append else agents
            granted.read += [path for each in target.ssh or () for path in each.paths]
        case "output":
            outputs = _entries(OUTPUTS.from_texts, values)
            target.output = OUTPUTS.merged(target.output, outputs) if append else outputs
            granted.write += [each.dest for each in target.output or () if each.dest]
        case _:
            raise BakeError(f"unknown key: {key}")


def _local(caches: Iterable[CacheEntry], key: str) -> list[str]:
    return [each.attrs[key] for each in caches if each.type == "local" and key in each.attrs]


def _bool(key: str, value: str) -> bool:
    switch = parse_bool(value)
    if switch is None:
        raise BakeError(f"invalid value {value} for boolean key {key}")
    return switch


def _replace_secret(target: Target, id_: str, value: str) -> None:
    """A declared secret takes its content from elsewhere."""
    if not id_:
        raise BakeError("invalid format for secret, expecting secret.<id>=<value>")
    secrets = target.secret or []
    if all(each.id != id_ for each in secrets):
        raise BakeError(f"secret {quote(id_)} must be declared before it can be overridden")
    (replacement,) = SECRETS.from_text(value)
    if replacement.id and replacement.id != id_:
        detail = f"does not match declared secret {quote(id_)}"
        raise BakeError(f"secret override id {quote(replacement.id)} {detail}")
    target.secret = [
        SecretEntry(id_, replacement.src, replacement.env) if each.id == id_ else each
        for each in secrets
    ]


def _pushed(outputs: list[OutputEntry] | None, push: bool) -> list[OutputEntry]:
    exports = list(outputs or ())
    if push:
        # Anything but a load to the docker store is taken for the one place to go.
        exports = [
            each.with_attr("push", "true") if each.type == "image" else each for each in exports
        ]
        if all(each.type == "docker" for each in exports):
            exports.append(OutputEntry("image", {"push": "true"}))
        return exports
    pushed: list[OutputEntry] = []
    while exports:
        first = exports.pop(0)
        if first.type == "registry":
            # The last takes the place of what is removed, as in the original.
            if exports:
                exports.insert(0, exports.pop())
            continue
        pushed.append(first.with_attr("push", "false") if first.type == "image" else first)
    return pushed


def _loaded(outputs: list[OutputEntry] | None) -> list[OutputEntry]:
    exports = list(outputs or ())
    for each in exports:
        if each.type == "docker" and not each.dest:
            return exports
        if each.type not in ("docker", "image", "registry", "oci"):
            return exports
    return [*exports, OutputEntry("docker")]
