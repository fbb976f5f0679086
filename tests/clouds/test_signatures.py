"""Signatures, by the examples that the vendors publish."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest

from croze.clouds.aws import AwsCredentials
from croze.clouds.sharedkey import SharedKey, http_date, to_sign
from croze.clouds.sigv4 import signed
from croze.errors import InvalidRequest

AWS = AwsCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "prefix=J&max-keys=2",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_of_amazons_documentation(query: str, signature: str) -> None:
    """Amazon S3 API Reference, "Examples: Signature Calculations"."""
    headers = signed(
        "GET",
        f"https://examplebucket.s3.amazonaws.com:443/?{query}",
        {},
        payload_sha256=hashlib.sha256(b"").hexdigest(),
        credentials=AWS,
        region="us-east-1",
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )


def test_secrets_are_not_shown() -> None:
    assert AWS.secret_access_key not in repr(AWS)
    key = SharedKey.parse("a", base64.b64encode(b"secret").decode())
    assert "secret'" not in repr(key)


def test_the_example_of_microsofts_documentation() -> None:
    """Azure Storage REST API, "Authorize with Shared Key": the string to sign."""
    headers = {"x-ms-date": "Fri, 26 Jun 2015 23:39:12 GMT", "x-ms-version": "2015-02-21"}
    url = "https://myaccount.blob.core.windows.net/mycontainer?comp=metadata&restype=container"
    assert to_sign("myaccount", "GET", f"{url}&timeout=20", headers) == (
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n"
        "x-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\n"
        "timeout:20"
    )


def test_dates_and_keys() -> None:
    assert http_date(datetime(2015, 6, 26, 3, 9, 12, tzinfo=UTC)) == "Fri, 26 Jun 2015 03:09:12 GMT"
    with pytest.raises(InvalidRequest, match='decode account key of "a": illegal base64 data'):
        SharedKey.parse("a", "no base64!")
