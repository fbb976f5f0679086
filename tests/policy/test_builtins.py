"""The functions that read and verify, on answers that are there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from croze.api import gateway_pb2
from croze.errors import CrozeError
from croze.policy.builtins import (
    SIGNATURE_BYTES,
    Answers,
    CustomBuiltins,
    EvaluationNotes,
    NotKnown,
)
from croze.policy.contract import ReadFile
from croze.policy.documents.document import AskedChecksum, InputDocument
from croze.rego.errors import FunctionError
from croze.rego.functions import Undefined
from croze.rego.values import FALSE, TRUE, Value, from_plain
from croze.signatures.pgp import parse
from tests.signatures.gnupg import GnuPG

SHA512 = gateway_pb2.ChecksumRequest.CHECKSUM_ALGO_SHA512
DATA = b"a download\n"
URL = "https://x.example/f"
DIGEST = "sha256:" + "1" * 64


@pytest.fixture(scope="module")
def gnupg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GnuPG]:
    made = GnuPG(tmp_path_factory.mktemp("gnupg") / "home")
    yield made
    made.close()


def called(
    name: str, document: InputDocument, answers: Answers, *args: object
) -> tuple[Value | Undefined, EvaluationNotes]:
    builtins = CustomBuiltins(document, document.plain(), answers)
    function = builtins.functions()[name]
    return function.call(*map(from_plain, args)), builtins.notes


class Signed:
    """A download with its signature, and those who may have made that."""

    def __init__(self, gnupg: GnuPG, *options: str) -> None:
        user = f"{len(options)}@example.com"
        key, data = gnupg.key(user), gnupg.sign(user, DATA, *options)
        self.parsed = parse(data)
        self.answers: Answers = {
            ReadFile("f.asc", SIGNATURE_BYTES): data,
            ReadFile("keys", SIGNATURE_BYTES): key,
            ReadFile("others", SIGNATURE_BYTES): gnupg.key(f"other-{user}"),
        }

    def digest(self, algorithm: str, data: bytes = DATA) -> str:
        return f"{algorithm}:{hashlib.new(algorithm, data + self.parsed.suffix).hexdigest()}"

    def check(
        self, asked: AskedChecksum | None, keys: str = "keys", kind: str = "http"
    ) -> tuple[Value | Undefined, EvaluationNotes]:
        document = InputDocument(kind, {"url": URL}, asked_checksum=asked)
        args = {"url": URL}, "f.asc", keys
        return called("verify_http_pgp_signature", document, self.answers, *args)


def test_a_download_is_verified_by_a_checksum_that_is_asked_for(gnupg: GnuPG) -> None:
    signed = Signed(gnupg, "--digest-algo=SHA512")
    suffix = signed.parsed.suffix
    right = AskedChecksum(signed.digest("sha512"), suffix)
    for asked in (
        None,
        AskedChecksum(right.digest, suffix + b"x"),
        AskedChecksum(signed.digest("sha256"), suffix),
    ):
        result, notes = signed.check(asked)
        assert result is FALSE
        assert notes.checksum is not None
        assert (notes.checksum.Suffix, notes.checksum.Algo) == (suffix, SHA512)
    result, notes = signed.check(right)
    assert (result, notes.checksum) == (TRUE, None)
    result, notes = signed.check(AskedChecksum(signed.digest("sha512", DATA + b"!"), suffix))
    assert (result, notes.checksum) == (FALSE, None)
    assert signed.check(right, "others") == (FALSE, EvaluationNotes())
    assert signed.check(right, kind="git") == (FALSE, EvaluationNotes())


def test_a_checksum_that_no_daemon_makes(gnupg: GnuPG) -> None:
    signed = Signed(gnupg, "--digest-algo=SHA224", "--openpgp")
    with pytest.raises(FunctionError, match="unsupported signature hash algorithm sha224"):
        signed.check(None)


def test_what_is_read_is_asked_for_first() -> None:
    document, question = InputDocument("local"), ReadFile("a.json", 4 << 20)
    with pytest.raises(NotKnown) as caught:
        called("load_json", document, {}, "a.json")
    assert caught.value.question == question
    assert called("load_json", document, {question: b'{"a": 1}'}, "a.json")[0] == from_plain(
        {"a": 1}
    )
    with pytest.raises(FunctionError, match="no such file"):
        called("load_json", document, {question: CrozeError("no such file")}, "a.json")


def test_an_image_is_pinned_once() -> None:
    fields: dict[str, object] = {"ref": "x", "checksum": DIGEST}
    document, other = InputDocument("image", fields), DIGEST.replace("1", "2")
    assert called("pin_image", document, {}, fields, DIGEST) == (TRUE, EvaluationNotes())
    assert called("pin_image", document, {}, fields, other) == (TRUE, EvaluationNotes(pins={other}))
    assert called("pin_image", InputDocument("git"), {}, {}, other) == (FALSE, EvaluationNotes())
    with pytest.raises(FunctionError, match="not the same as input image"):
        called("pin_image", document, {}, {"ref": "y"}, other)
    with pytest.raises(FunctionError, match="expected object"):
        called("pin_image", document, {}, "x", other)
    with pytest.raises(FunctionError, match="invalid digest"):
        called("pin_image", document, {}, fields, "sha256:1")
