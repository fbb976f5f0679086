"""`--registry-auth-tlscontext`."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.client.flags.tls import parse_tls_contexts
from croze.errors import InvalidRequest
from croze.session.token_tls import TokenTls
from tests.support.certificates import make_certificate


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    made = make_certificate()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.pem)
    key.write_bytes(made.key)
    return str(certificate), str(key)


def test_what_is_said_of_one_host_adds_up(files: tuple[str, str]) -> None:
    certificate, key = files
    found = parse_tls_contexts(
        [
            f"host=r:5000,ca={certificate}",
            f"HOST=https://r:5000,cert={certificate},key={key}",
            "host=other,insecure=true",
        ]
    )
    assert found == {
        "r:5000": TokenTls((certificate,), ((certificate, key),)),
        "other": TokenTls(insecure=True),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ca=x", "requires host=<host>"),
        ("host=r", "requires ca=<ca> or cert=<cert>,key=<key> or insecure=true"),
        ("host=r,insecure=0", "requires ca=<ca> or cert=<cert>,key=<key> or insecure=true"),
        ("host=r,cert=x", "requires ca=<ca> or cert=<cert>,key=<key> or insecure=true"),
        ("host=r,ca=x,cert=y", "requires cert=<cert>,key=<key>"),
        ("host=r,insecure=maybe", 'parsing "maybe": invalid syntax'),
        ("host", "invalid value host"),
        ("host=r,insecure=1,cA2=x", "unexpected key 'cA2' in 'cA2=x'"),
        ("host=r,ca=/proc/none", "failed to read /proc/none: No such file or directory"),
        ("host=r,ca=/dev/null", "failed to read /dev/null: NO_CERTIFICATE_OR_CRL_FOUND"),
        (
            "host=r,cert=/proc/none,key=/proc/none",
            "failed to load keypair for /proc/none: No such file",
        ),
    ],
)
def test_contexts_that_say_too_little_or_wrong_are_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_tls_contexts([text])
    assert said in str(refused.value)
