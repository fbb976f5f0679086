"""Hashes, encodings and identifiers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote_plus

from croze.bake.functions.support import amount, function, of_texts, parameter, text, whole
from croze.bake.functions.surroundings import Surroundings
from croze.bake.hcl.function import CallError, Function
from croze.bake.values import json
from croze.bake.values.json import JsonError
from croze.bake.values.types import BYTES, NUMBER, STRING
from croze.bake.values.value import DYNAMIC_VALUE, Value, string, unknown_of
from croze.gotypes.quote import quote

_NAMESPACES: Final = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}
_DEFAULT_COST: Final = 10
_LONGEST_PASSWORD: Final = 72


def _hash(name: str) -> Function:
    def apply(text: str) -> str:
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    return of_texts(apply, "str")


def _decode(text: str) -> bytes:
    """Standard base64, with padding and perhaps line breaks; ValueError for anything else."""
    return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)


def _base64_decode(text: str) -> str:
    try:
        decoded = _decode(text)
    except (binascii.Error, ValueError):
        raise CallError(f"failed to decode base64 data '{text}'") from None
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        detail = "the result of decoding the the provided string is not valid UTF-8"
        raise CallError(detail) from None


def _bcrypt(surroundings: Surroundings) -> Callable[[Sequence[Value]], Value]:
    def apply(args: Sequence[Value]) -> Value:
        cost = whole(args[1]) if len(args) > 1 else _DEFAULT_COST
        if len(args) > 2:
            raise CallError("bcrypt() takes no more than two arguments")
        return string(_bcrypt_hash(args[0].text.encode(), cost, surroundings))

    return apply


def _bcrypt_hash(password: bytes, cost: int, surroundings: Surroundings) -> str:
    import bcrypt

    problem = "error occured generating password "
    if len(password) > _LONGEST_PASSWORD:
        raise CallError(f"{problem}bcrypt: password length exceeds {_LONGEST_PASSWORD} bytes")
    cost = _DEFAULT_COST if cost < 4 else cost
    if cost > 31:
        raise CallError(
            f"{problem}crypto/bcrypt: cost {cost} is outside allowed inclusive range 4..31"
        )
    salt = _bcrypt_base64(surroundings.random_bytes(16))
    # The library stops at a NUL byte, which the original does not; nobody has one in a password.
    hashed: bytes = bcrypt.hashpw(password, f"$2a${cost:02d}${salt}".encode())
    return hashed.decode()


def _bcrypt_base64(data: bytes) -> str:
    standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    own = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return base64.b64encode(data).decode().rstrip("=").translate(str.maketrans(standard, own))


def _rsa_decrypt(text: str, key: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        data = _decode(text)
    except (binascii.Error, ValueError):
        detail = f"failed to decode input {quote(text)}: cipher text must be base64-encoded"
        raise CallError(detail) from None
    if "-----BEGIN" not in key:
        raise CallError("failed to parse key: no key found")
    if "Proc-Type: 4,ENCRYPTED" in key:
        raise CallError(
            "failed to parse key: password protected keys are not supported. Please "
            "decrypt the key prior "
            "to use"
        )
    try:
        private = load_pem_private_key(key.encode(), None)
        if not isinstance(private, RSAPrivateKey):
            raise CallError("failed to parse key: not an RSA key")
        return private.decrypt(data, PKCS1v15()).decode(errors="replace")
    except ValueError:
        raise CallError("crypto/rsa: decryption error") from None


def _uuid5(namespace: str, name: str) -> str:
    namespace_id = _NAMESPACES.get(namespace)
    if namespace_id is None:
        try:
            namespace_id = uuid.UUID(namespace)
        except ValueError:
            why = f"invalid UUID length: {len(namespace)}"
            raise CallError(f"uuidv5() doesn't support namespace {namespace} ({why})") from None
    return str(uuid.uuid5(namespace_id, name))


def _json_encode(args: Sequence[Value]) -> Value:
    if not args[0].is_wholly_known:
        return unknown_of(STRING)
    try:
        return string(json.to_json(args[0]))
    except JsonError as error:
        raise CallError(str(error)) from None


def _json_decode(args: Sequence[Value]) -> Value:
    try:
        return json.from_json(args[0].text)
    except JsonError as error:
        raise CallError(str(error)) from None


def _no_bytes(args: Sequence[Value]) -> Value:
    """Nothing in the language makes bytes; only an unknown value comes this far."""
    return DYNAMIC_VALUE


def functions(surroundings: Surroundings) -> Mapping[str, Function]:
    def uuid4(_: Sequence[Value]) -> Value:
        return string(str(uuid.UUID(bytes=surroundings.random_bytes(16), version=4)))

    buffer = parameter("buf", BYTES)
    return {
        "base64decode": of_texts(_base64_decode, "str"),
        "base64encode": of_texts(lambda text: base64.b64encode(text.encode()).decode(), "str"),
        "bcrypt": function(
            _bcrypt(surroundings), text("str"), returns=STRING, variadic=amount("cost")
        ),
        "byteslen": function(_no_bytes, buffer, returns=NUMBER),
        "bytesslice": function(_no_bytes, buffer, amount("offset"), amount("length")),
        "jsondecode": function(_json_decode, text("str")),
        "jsonencode": function(
            _json_encode, parameter("val", null=True, unknown=True), returns=STRING
        ),
        "md5": _hash("md5"),
        "rsadecrypt": of_texts(_rsa_decrypt, "ciphertext", "privatekey"),
        "sha1": _hash("sha1"),
        "sha256": _hash("sha256"),
        "sha512": _hash("sha512"),
        "urlencode": of_texts(lambda text: quote_plus(text, safe="~"), "str"),
        "uuidv4": function(uuid4, returns=STRING),
        "uuidv5": of_texts(_uuid5, "namespace", "name"),
    }
