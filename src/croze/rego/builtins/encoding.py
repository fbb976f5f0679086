"""JSON, YAML, base64, hex and queries of URLs."""

from __future__ import annotations

import base64
import binascii
import json
import re
from urllib.parse import parse_qsl, quote_plus, unquote_plus

from croze.gotypes.strings import from_bytes, to_bytes
from croze.rego.builtins.operands import obj, string
from croze.rego.errors import FunctionError
from croze.rego.values import Boolean, Object, Value, boolean, from_plain, in_order, to_plain

_ESCAPED = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def _json_text(plain: object, *, indent: str | None = None) -> str:
    """JSON as Go's encoding/json writes it."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(plain, ensure_ascii=False, separators=separators, indent=indent)
    return re.sub("[<>&\u2028\u2029]", lambda match: _ESCAPED[match[0]], text)


def json_marshal(value: Value) -> Value:
    return _json_text(to_plain(value))


def json_marshal_with(value: Value, options: Value) -> Value:
    by_name: dict[str, Value] = {}
    for key, each in obj(options).items():
        if key not in ("pretty", "indent", "prefix"):
            raise FunctionError(f"object contained unknown key {key}")
        if not isinstance(each, Boolean if key == "pretty" else str):
            raise FunctionError(f"key {key} failed cast")
        by_name[string(key)] = each
    pretty = by_name.get("pretty", boolean("indent" in by_name or "prefix" in by_name))
    if not pretty:
        return json_marshal(value)
    text = _json_text(to_plain(value), indent=string(by_name.get("indent", "\t")))
    prefix = string(by_name.get("prefix", ""))
    return "\n".join(prefix + line for line in text.split("\n"))


def json_unmarshal(text: Value) -> Value:
    return from_json(string(text))


def from_json(text: str | bytes) -> Value:
    """The value that a JSON text says. Raises `FunctionError`."""
    try:
        return from_plain(json.loads(text, parse_constant=_no_constant))
    except (ValueError, RecursionError) as error:
        raise FunctionError(f"invalid JSON: {error}") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"invalid character: {name}")


def json_is_valid(text: Value) -> Value:
    try:
        json_unmarshal(text)
    except FunctionError:
        return boolean(False)
    return boolean(True)


# -- YAML --


def yaml_marshal(value: Value) -> Value:
    import yaml

    return yaml.safe_dump(to_plain(value), default_flow_style=False, allow_unicode=True)


def yaml_unmarshal(text: Value) -> Value:
    import yaml

    from croze.rego.builtins.yaml_loader import load

    source = string(text)
    if "&" in source and source.count("*") > 100:
        raise FunctionError("document contains excessive aliasing")
    try:
        return from_plain(_string_keys(load(source)))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise FunctionError(f"invalid YAML: {error}") from None


def _string_keys(plain: object) -> object:
    if isinstance(plain, list):
        return [_string_keys(each) for each in plain]
    if isinstance(plain, dict):
        return {_yaml_key(key): _string_keys(each) for key, each in plain.items()}
    return plain


def _yaml_key(key: object) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool | int | float):
        return json.dumps(key)
    raise TypeError("unsupported type of key")


def yaml_is_valid(text: Value) -> Value:
    try:
        yaml_unmarshal(text)
    except FunctionError:
        return boolean(False)
    return boolean(True)


# -- base64, hex --


def base64_encode(text: Value) -> Value:
    return base64.b64encode(to_bytes(string(text))).decode()


def base64_decode(text: Value) -> Value:
    """Decode base64 with its padding; line ends are passed over, as Go does."""
    plain = string(text).replace("\n", "").replace("\r", "")
    try:
        return from_bytes(base64.b64decode(plain, validate=True))
    except (ValueError, binascii.Error):
        raise FunctionError("illegal base64 data") from None


def base64_is_valid(text: Value) -> Value:
    try:
        base64_decode(text)
    except FunctionError:
        return boolean(False)
    return boolean(True)


def base64url_encode(text: Value) -> Value:
    return base64.urlsafe_b64encode(to_bytes(string(text))).decode()


def base64url_encode_no_pad(text: Value) -> Value:
    return string(base64url_encode(text)).rstrip("=")


def base64url_decode(text: Value) -> Value:
    plain = string(text)
    if re.search(r"[^-_A-Za-z0-9=\r\n]", plain):
        raise FunctionError("illegal base64url string")
    if not plain.endswith("="):
        plain += "=" * (-len(plain) % 4)
    return base64_decode(plain.replace("-", "+").replace("_", "/"))


def hex_encode(text: Value) -> Value:
    return to_bytes(string(text)).hex()


def hex_decode(text: Value) -> Value:
    plain = string(text)
    if not re.fullmatch("(?:[0-9a-fA-F]{2})*", plain):
        raise FunctionError("encoding/hex: invalid byte")
    return from_bytes(bytes.fromhex(plain))


# -- queries --


def query_encode(text: Value) -> Value:
    return quote_plus(to_bytes(string(text)))


def query_decode(text: Value) -> Value:
    plain = string(text)
    if re.search("%(?![0-9a-fA-F]{2})", plain):
        raise FunctionError("invalid URL escape")
    return unquote_plus(plain)


def query_encode_object(fields: Value) -> Value:
    out: list[str] = []
    for key, each in obj(fields).sorted_items():
        values = in_order(each) if isinstance(each, frozenset) else each
        for one in values if isinstance(values, tuple | list) else (values,):
            if not isinstance(one, str):
                raise FunctionError("values must be string, array[string], or set[string]")
            out.append(f"{query_encode(string(key))}={query_encode(one)}")
    return "&".join(out)


def query_decode_object(text: Value) -> Value:
    query_decode(text)
    by_name: dict[str, list[Value]] = {}
    for key, value in parse_qsl(string(text), keep_blank_values=True):
        by_name.setdefault(key, []).append(value)
    return Object((key, tuple(values)) for key, values in by_name.items())
