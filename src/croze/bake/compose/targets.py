"""Services to targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from croze.bake.compose.data import Data
from croze.bake.compose.data import Mapping as Model
from croze.bake.compose.decode import hosts, size
from croze.bake.compose.merge import plain_text
from croze.bake.compose.model import ComposeError, WholeMessageError
from croze.bake.errors import BakeError
from croze.bake.options.entries import (
    ATTESTS,
    CACHES,
    OUTPUTS,
    SECRETS,
    SSH,
    Attest,
    E,
    SecretEntry,
    SshEntry,
    canonical_attest,
)
from croze.bake.target import Target
from croze.gotypes.ulimits import ULIMITS

_LIMITS = ULIMITS | {"as"}
_YES = ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON")
_NO = ("n", "N", "no", "No", "NO", "off", "Off", "OFF")


def make_target(
    name: str,
    service: Model,
    build: Model,
    secrets: Model,
    environment: Mapping[str, str],
    variables: Mapping[str, str | None],
) -> Target:
    """The target for a service; `variables` are those of the service itself."""
    target = Target(name)
    target.context = _text(build.get("context"))
    target.dockerfile = _text(build.get("dockerfile"))
    target.dockerfile_inline = _text(build.get("dockerfile_inline"))
    target.target = _text(build.get("target"))
    target.network = _text(build.get("network"))
    contexts = build.get("additional_contexts")
    if isinstance(contexts, dict):
        target.contexts = named_contexts({k: plain_text(v) for k, v in contexts.items()})
    target.args = _args(build.get("args"), environment, variables)
    target.labels = {k: v or "" for k, v in pairs(build.get("labels")).items()}
    target.tags = texts(build.get("tags"))
    target.platforms = texts(build.get("platforms"))
    target.cache_from = _entries(CACHES.from_texts, build.get("cache_from"))
    target.cache_to = _entries(CACHES.from_texts, build.get("cache_to"))
    target.no_cache = _flag(build.get("no_cache")) or None
    target.pull = _flag(build.get("pull")) or None
    target.shm_size = size(build.get("shm_size"))
    target.ulimits = _limits(build.get("ulimits"))
    target.extra_hosts = hosts(build.get("extra_hosts"))
    target.ssh = _ssh(build.get("ssh"))
    target.secret = _secrets(build.get("secrets"), secrets)
    target.attest = _attests(build)
    _extend(target, build.get("x-bake"))
    image = _text(service.get("image"))
    if not target.tags and image:
        target.tags = [image]
    return target


def _text(value: Data) -> str | None:
    return None if value is None or value == "" else plain_text(value)


def texts(value: Data) -> list[str] | None:
    if isinstance(value, list):
        return [plain_text(each) for each in value]
    return None


def pairs(value: Data) -> dict[str, str | None]:
    """Names and values of a mapping or of a list of `name=value`; none for a name alone."""
    if isinstance(value, dict):
        return {k: None if v is None else plain_text(v) for k, v in value.items()}
    texts: dict[str, str | None] = {}
    for each in value if isinstance(value, list) else ():
        name, equals, text = plain_text(each).partition("=")
        texts[name] = text if equals else None
    return texts


def _args(
    value: Data, environment: Mapping[str, str], variables: Mapping[str, str | None]
) -> dict[str, str | None] | None:
    args: dict[str, str | None] = {}
    for name, default in sorted(pairs(value).items()):
        text = default
        if text is None:
            text = variables.get(name)
        if text is None:
            text = environment.get(name)
        if text is not None:
            args[name] = text
    return args or None


def _entries(read: Callable[[Sequence[str]], list[E]], value: Data) -> list[E] | None:
    return read(texts(value) or []) or None


def _flag(value: Data) -> bool:
    if isinstance(value, str):
        return value.lower() in ("true", "y", "yes", "on")
    return value is True


def _limits(value: Data) -> list[str] | None:
    if not isinstance(value, dict):
        return None
    limits: list[str] = []
    for name in sorted(value):
        limit = value[name]
        # A single number is a field of its own, which the original does not look at here.
        soft, hard = 0, 0
        if isinstance(limit, dict):
            soft, hard = _number(limit.get("soft")), _number(limit.get("hard"))
        if name not in _LIMITS:
            raise ComposeError(f"invalid ulimit type: {name}")
        if hard not in (-1,) and soft > hard:
            raise ComposeError(
                f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            )
        limits.append(f"{name}={soft}:{hard}")
    return limits


def _number(value: Data) -> int:
    try:
        return int(plain_text(value))
    except ValueError:
        raise ComposeError(f"invalid number {plain_text(value)}") from None


def undecodable_error(problems: Sequence[str]) -> WholeMessageError:
    what = "\n".join(problems)
    return WholeMessageError(f"decoding failed due to the following error(s):\n\n{what}")


def _ssh(value: Data) -> list[SshEntry] | None:
    if not isinstance(value, dict):
        return None
    entries = [SshEntry(id_, (plain_text(path),) if path else ()) for id_, path in value.items()]
    return sorted(entries, key=lambda each: (each.id, each.paths))


def _secrets(value: Data, secrets: Model) -> list[SecretEntry] | None:
    entries: list[SecretEntry] = []
    for each in value if isinstance(value, list) else ():
        source = plain_text(each.get("source", "")) if isinstance(each, dict) else plain_text(each)
        declared = secrets.get(source)
        details = declared if isinstance(declared, dict) else {}
        if details.get("external") is True:
            raise ComposeError(f"unsupported external secret {plain_text(details.get('name', ''))}")
        file, variable = _text(details.get("file")), _text(details.get("environment"))
        entries.append(SecretEntry(source, file or "", variable or ""))
    return entries or None


def _attests(build: Model) -> list[Attest] | None:
    texts: list[str] = []
    for kind in ("sbom", "provenance"):
        text = _text(build.get(kind))
        if text is not None:
            texts.append(canonical_attest(kind, text))
    return ATTESTS.from_texts(texts) or None


def named_contexts(contexts: Mapping[str, str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for name, value in contexts.items():
        prefix, colon, service = value.partition(":")
        linked = colon and prefix in ("service", "target")
        named[name] = f"target:{service.replace('.', '_')}" if linked else value
    return named


def _extend(target: Target, extension: Data) -> None:
    """`x-bake`: options that compose does not have, or other values for those it has."""
    if not isinstance(extension, dict):
        return
    _extend_lists(target, extension)
    target.pull = _switch(extension, "pull", target.pull)
    target.no_cache = _switch(extension, "no-cache", target.no_cache)
    contexts = extension.get("contexts")
    if contexts is not None:
        if not isinstance(contexts, dict) or any(map(_is_nested, contexts.values())):
            raise BakeError("x-bake: contexts must be a mapping of names to strings")
        named = {k: plain_text(v) for k, v in contexts.items() if v is not None}
        added = named_contexts(named)
        target.contexts = {**added, **(target.contexts or {})}


def _extend_lists(target: Target, extension: Model) -> None:
    """Entries that come to those that there are."""
    if tags := _words(extension, "tags"):
        target.tags = _once([*(target.tags or ()), *tags])
    if platforms := _words(extension, "platforms"):
        target.platforms = _once([*(target.platforms or ()), *platforms])
    if stages := _words(extension, "no-cache-filter"):
        target.no_cache_filter = _once(stages)
    if caches := _words(extension, "cache-from"):
        target.cache_from = CACHES.merged(target.cache_from, CACHES.from_texts(caches))
    if caches := _words(extension, "cache-to"):
        target.cache_to = CACHES.merged(target.cache_to, CACHES.from_texts(caches))
    if secrets := _words(extension, "secret"):
        target.secret = SECRETS.merged(target.secret, SECRETS.from_texts(secrets))
    if agents := _words(extension, "ssh"):
        merged = SSH.merged(target.ssh, SSH.from_texts(agents))
        target.ssh = sorted(merged or (), key=lambda each: (each.id, each.paths))
    if outputs := _words(extension, "output"):
        target.output = OUTPUTS.merged(target.output, OUTPUTS.from_texts(outputs))


def _words(extension: Model, key: str) -> list[str]:
    """The texts of a list, the words of a text, or a number alone."""
    value = extension.get(key)
    if isinstance(value, str):
        return value.split()
    if isinstance(value, dict) or (isinstance(value, list) and any(map(_is_nested, value))):
        raise BakeError(f"x-bake: {key} must be a string or a list of strings")
    if isinstance(value, list):
        return [plain_text(each) for each in value if each is not None]
    return [] if value is None else [plain_text(value)]


def _is_nested(value: Data) -> bool:
    return isinstance(value, dict | list)


def _once(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _switch(extension: Model, key: str, default: bool | None) -> bool | None:
    flag = extension.get(key)
    if flag is None or isinstance(flag, bool):
        return default if flag is None else flag
    if flag in _YES or flag in _NO:
        return flag in _YES
    raise BakeError(f"x-bake: {key} must be true or false")
