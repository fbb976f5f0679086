"""`--registry-auth-tlscontext` of `buildctl build`.

Grammar: BuildKit `cmd/buildctl/build/registryauthtlscontext.go`. It passes over keys that it
doesn't know; here they are refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from croze.errors import InvalidRequest
from croze.gotypes import csv_line
from croze.gotypes.booleans import checked_bool
from croze.session.token_tls import TokenTls

_FLAG = "--registry-auth-tlscontext"
_KEYS = ("host", "ca", "cert", "key", "insecure")


def parse_tls_contexts(values: Iterable[str]) -> dict[str, TokenTls]:
    """TLS settings by the registry's host, with its port; what is said of one host in several flags
    adds up. Raises `InvalidRequest`, for files that can't be read, too."""
    by_host: dict[str, list[dict[str, str]]] = defaultdict(list)
    for text in values:
        attrs = _attributes(text)
        by_host[_host(attrs["host"])].append(attrs)
    contexts = {host: _together(attrs_of_host) for host, attrs_of_host in by_host.items()}
    for tls in contexts.values():
        tls.context()
    return contexts


def _together(attrs_of_host: Sequence[Mapping[str, str]]) -> TokenTls:
    return TokenTls(
        tuple(each["ca"] for each in attrs_of_host if each["ca"]),
        tuple((each["cert"], each["key"]) for each in attrs_of_host if each["cert"]),
        any(_is_insecure(each) for each in attrs_of_host),
    )


def _attributes(text: str) -> dict[str, str]:
    attrs = dict.fromkeys(_KEYS, "")
    for field in csv_line.fields(text):
        key, equals, value = field.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid value {field}")
        if key.lower() not in attrs:
            raise InvalidRequest(f"unexpected key '{key}' in '{field}'")
        attrs[key.lower()] = value
    _check(attrs)
    return attrs


def _check(attrs: Mapping[str, str]) -> None:
    if not attrs["host"]:
        raise InvalidRequest(f"{_FLAG} requires host=<host>")
    has_pair = bool(attrs["cert"] and attrs["key"])
    if not (attrs["ca"] or has_pair or _is_insecure(attrs)):
        raise InvalidRequest(f"{_FLAG} requires ca=<ca> or cert=<cert>,key=<key> or insecure=true")
    if bool(attrs["cert"]) != bool(attrs["key"]):
        raise InvalidRequest(f"{_FLAG} requires cert=<cert>,key=<key>")


def _is_insecure(attrs: Mapping[str, str]) -> bool:
    return bool(attrs["insecure"]) and checked_bool(attrs["insecure"])


def _host(text: str) -> str:
    """buildctl's own example has a URL, by which it finds no host."""
    return text.removeprefix("https://").removeprefix("http://").rstrip("/")
