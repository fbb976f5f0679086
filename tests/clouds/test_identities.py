"""Whose credentials are found, with the vendors' own libraries."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from croze.clouds.aws import AwsCredentials, CredentialChain, of_environment
from croze.clouds.azure import STORAGE, DefaultIdentity
from croze.errors import PermissionDenied
from tests.support.web_server import answering


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which nothing is found."""
    for name in ("ACCESS_KEY_ID", "ACCESS_KEY", "SECRET_ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("SESSION_TOKEN", "PROFILE", "DEFAULT_PROFILE", "ROLE_ARN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_aws_keys_are_taken_from_the_environment() -> None:
    assert of_environment({"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": ""}) is None
    one = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    assert of_environment(one) == AwsCredentials("i", "s", "t")
    old = {"AWS_ACCESS_KEY": "i", "AWS_SECRET_KEY": "s"}
    assert of_environment(old) == AwsCredentials("i", "s")


def test_aws_keys_are_taken_from_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=i\naws_secret_access_key=s\n"
        "[p]\naws_access_key_id=j\naws_secret_access_key=s\naws_session_token=t\n"
    )
    assert CredentialChain().credentials() == AwsCredentials("i", "s")
    monkeypatch.setenv("AWS_PROFILE", "p")
    assert CredentialChain().credentials() == AwsCredentials("j", "s", "t")
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(PermissionDenied, match="failed to refresh cached credentials"):
        CredentialChain().credentials()


def test_a_program_that_knows(tmp_path: Path) -> None:
    """`credential_process` of a profile."""
    said = {"Version": 1, "AccessKeyId": "i", "SecretAccessKey": "s", "SessionToken": "t"}
    (tmp_path / "said").write_text(json.dumps(said | {"Expiration": "2999-01-01T00:00:00Z"}))
    (tmp_path / "config").write_text(f"[default]\ncredential_process=cat {tmp_path}/said\n")
    assert CredentialChain().credentials() == AwsCredentials("i", "s", "t")


def test_no_aws_identity_is_told_with_what_would_find_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PermissionDenied, match="no EC2 IMDS role found"):
        CredentialChain().credentials()
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(
        PermissionDenied, match=re.escape(f"{sys.executable} -m pip install botocore")
    ):
        CredentialChain().credentials()


class _Endpoint(BaseHTTPRequestHandler):
    """Of a managed identity, as Azure App Service has it."""

    asked: list[str]

    def log_message(self, *words: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        expires = str(int(time.time()) + 3600)
        said = {"access_token": "token", "expires_on": expires, "resource": "r"}
        body = json.dumps(said | {"token_type": "Bearer"}).encode()
        self.send_response(200 if self.headers["X-IDENTITY-HEADER"] == "h" else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    asked: list[str] = []
    with answering(type("E", (_Endpoint,), {"asked": asked})) as url:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "h")
        yield asked


def test_an_identity_of_azure(endpoint: list[str]) -> None:
    identity = DefaultIdentity()
    assert identity.token() == "token"
    assert identity.token() == "token"
    assert len(endpoint) == 1, "it is kept while it is valid"
    assert STORAGE.removesuffix("/.default").partition("//")[2] in endpoint[0]


def test_azure_without_its_library_is_told_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(
        PermissionDenied, match=re.escape(f"{sys.executable} -m pip install azure-identity")
    ):
        DefaultIdentity().token()
