"""The built-in functions that buildx adds to Rego's: what they read and verify is asked for.

A function can't wait for an answer. It raises `NotKnown` for the question; the evaluation begins
anew when the answer is known, and comes to the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from croze.api import gateway_pb2
from croze.errors import CrozeError
from croze.image import reference
from croze.policy.contract import GitHubBundles, Question, ReadFile, VerifyArtifact
from croze.policy.documents.document import InputDocument
from croze.rego.builtins.encoding import from_json
from croze.rego.builtins.operands import string
from croze.rego.check.signatures import signature
from croze.rego.errors import FunctionError
from croze.rego.functions import UNDEFINED, RegoFunction, Undefined
from croze.rego.values import FALSE, TRUE, Object, Value, from_plain
from croze.signatures import gitobject, pgp
from croze.signatures.keyring import read_keys
from croze.signatures.packets import HASHES
from croze.signatures.public import verify

JSON_BYTES, BUNDLE_BYTES = 4 << 20, 8 << 20
KEY_BYTES, SIGNATURE_BYTES = 128 << 10, 512 << 10
CHECKSUM = "http.checksum"
_ALGORITHMS = {
    "sha256": gateway_pb2.ChecksumRequest.CHECKSUM_ALGO_SHA256,
    "sha384": gateway_pb2.ChecksumRequest.CHECKSUM_ALGO_SHA384,
    "sha512": gateway_pb2.ChecksumRequest.CHECKSUM_ALGO_SHA512,
}

SIGNATURES = {
    "load_json": "(string) any",
    "verify_git_signature": "(any, string) boolean",
    "verify_http_pgp_signature": "(any, string, string) boolean",
    "pin_image": "(any, string) boolean",
    "artifact_attestation": "(any, string) any",
    "github_attestation": "(any, string) any",
}
"""As `rego/check/signatures.py` reads them."""


class NotKnown(Exception):
    """A question that must be answered first."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


class EvaluationNotes(Struct):
    """What functions say on the side in one evaluation."""

    unknown: set[str] = field(default_factory=set)
    pins: set[str] = field(default_factory=set)
    checksum: gateway_pb2.ChecksumRequest | None = None
    """The checksum that a signature is over."""


Answers = dict[Question, object]
"""What is known so far; a `CrozeError` for what can't be."""


class CustomBuiltins:
    """The functions, over one document."""

    def __init__(
        self, document: InputDocument, plain: Mapping[str, object], answers: Answers
    ) -> None:
        self.notes = EvaluationNotes()
        self._document = document
        self._plain = plain
        self._answers = answers

    def functions(self) -> dict[str, RegoFunction]:
        calls: dict[str, Callable[..., Value | Undefined]] = {
            "load_json": self._load_json,
            "verify_git_signature": self._verify_git_signature,
            "verify_http_pgp_signature": self._verify_http_pgp_signature,
            "pin_image": self._pin_image,
            "artifact_attestation": self._artifact_attestation,
            "github_attestation": self._github_attestation,
        }
        return {
            name: RegoFunction(len(signature(SIGNATURES[name]).args), call)
            for name, call in calls.items()
        }

    def _answer(self, question: Question) -> object:
        if question not in self._answers:
            raise NotKnown(question)
        answer = self._answers[question]
        if isinstance(answer, CrozeError):
            raise FunctionError(str(answer))
        return answer

    def _read(self, path: str, most_bytes: int) -> bytes:
        data = self._answer(ReadFile(path, most_bytes))
        assert isinstance(data, bytes)
        return data

    def _is(self, value: Value, kind: str) -> None:
        """The argument must be that part of the input, and nothing made up."""
        if not isinstance(value, Object):
            raise FunctionError("expected object")
        if value != from_plain(self._plain.get(kind)):
            raise FunctionError(f"first argument is not the same as input {kind}")

    # -- the functions --

    def _load_json(self, path: Value) -> Value:
        return from_json(self._read(string(path), JSON_BYTES))

    def _pin_image(self, image: Value, digest: Value) -> Value:
        if self._document.kind != "image":
            return FALSE
        self._is(image, "image")
        pinned = string(digest)
        try:
            reference.check_digest(pinned)
        except CrozeError as error:
            raise FunctionError(f"invalid digest: {error}") from None
        if self._document.fields.get("checksum") != pinned:
            self.notes.pins.add(pinned)
        return TRUE

    def _verify_git_signature(self, value: Value, path: Value) -> Value:
        document = self._document
        if document.kind != "git":
            return FALSE
        if document.commit is None:
            self.notes.unknown.add("git.commit")
            return FALSE
        git = document.fields
        if value == from_plain(git["commit"]):
            signed = document.commit
        elif document.tag is not None and value == from_plain(git["tag"]):
            signed = document.tag
        else:
            raise FunctionError("object is neither commit nor tag")
        key = self._read(string(path), KEY_BYTES)
        try:
            gitobject.verify(signed, key)
        except CrozeError as error:
            raise FunctionError(f"verification fails: {error}") from None
        return TRUE

    def _verify_http_pgp_signature(self, http: Value, signature: Value, keys: Value) -> Value:
        if self._document.kind != "http":
            return FALSE
        self._is(http, "http")
        data = self._read(string(signature), SIGNATURE_BYTES)
        ring = self._read(string(keys), SIGNATURE_BYTES)
        try:
            parsed, entities = pgp.parse(data), read_keys(ring)
        except CrozeError as error:
            raise FunctionError(str(error)) from None
        algorithm = HASHES[parsed.hash]
        if algorithm not in _ALGORITHMS:
            raise FunctionError(f"unsupported signature hash algorithm {algorithm}")
        checksum = self._document.asked_checksum
        if checksum is None or checksum.suffix != parsed.suffix:
            return self._want_checksum(algorithm, parsed.suffix)
        name, _, value = checksum.digest.partition(":")
        if name != algorithm:
            return self._want_checksum(algorithm, parsed.suffix)
        digest = bytes.fromhex(value)
        public = [key for e in entities for key in (e.primary, *(s.key for s in e.subkeys))]
        return TRUE if any(verify(key, parsed, digest) for key in public) else FALSE

    def _want_checksum(self, algorithm: str, suffix: bytes) -> Value:
        self.notes.checksum = gateway_pb2.ChecksumRequest(
            Algo=_ALGORITHMS[algorithm], Suffix=suffix
        )
        return FALSE

    def _artifact_attestation(self, http: Value, path: Value) -> Value | Undefined:
        checksum = self._checksum_of(http)
        if not checksum:
            return UNDEFINED
        bundle = self._read(string(path), BUNDLE_BYTES)
        return from_plain(self._answer(VerifyArtifact(checksum, bundle)))

    def _github_attestation(self, http: Value, repository: Value) -> Value | Undefined:
        checksum = self._checksum_of(http)
        if not checksum:
            return UNDEFINED
        bundles = self._answer(GitHubBundles(string(repository), checksum))
        assert isinstance(bundles, tuple)
        for bundle in bundles:
            try:
                return from_plain(self._answer(VerifyArtifact(checksum, bundle)))
            except FunctionError:
                continue
        return UNDEFINED

    def _checksum_of(self, http: Value) -> str:
        """Empty, and asked for, if it isn't known."""
        if self._document.kind != "http":
            return ""
        self._is(http, "http")
        checksum = str(self._document.fields.get("checksum", ""))
        if not checksum:
            self.notes.unknown.add(CHECKSUM)
        return checksum
