"""Object storage that isn't ours: moto's S3, which verifies signatures as AWS does, and Azurite."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from croze.http.urls import parse_url
from tests.e2e.sandbox import REPO
from tests.support.waiting import PATIENCE_S, eventually, free_port

REGION = "us-east-1"
BUCKET = "cache"
ACCOUNT = "testaccount"
ACCOUNT_KEY = "dGhlIGtleSBvZiB0aGUgdGVzdCBhY2NvdW50"
AZURITE = REPO / ".cache/peers/azurite/node_modules/.bin/azurite-blob"


@dataclass(frozen=True)
class Keys:
    """Of AWS."""

    id: str
    secret: str
    token: str = ""

    @property
    def attrs(self) -> str:
        """As attributes of a cache."""
        token = f",session_token={self.token}" if self.token else ""
        return f"access_key_id={self.id},secret_access_key={self.secret}{token}"


@dataclass(frozen=True)
class Moto:
    """A server, and keys that may do everything with S3 there: a user's, and a role's."""

    url: str
    user: Keys
    role: Keys


def _listens(url: str) -> bool:
    try:
        asked(url)
    except (OSError, http.client.HTTPException):
        return False
    return True


def asked(
    url: str, method: str = "GET", body: str = "", headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """What the server says: the status and the text."""
    parts = parse_url(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE_S)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@contextlib.contextmanager
def _serving(
    command: Sequence[str | Path], url: str, log: Path, env: dict[str, str]
) -> Iterator[None]:
    with open(log, "wb") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out, env=env)
    try:
        eventually(lambda: _listens(url), log.read_text, process=process)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[Moto]:
    """Moto's S3 with a bucket `cache`, which from now on wants to know who asks."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [
        Path(sys.executable).parent / "moto_server",
        "-H",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    with _serving(command, f"{url}/moto-api/", folder / "moto.log", {}):
        user = _new_user(url)
        _ask(f"{url}/{BUCKET}", "s3", "", "PUT")
        assert asked(f"{url}/moto-api/reset-auth", "POST", "0")[0] == 200
        yield user


def _new_user(url: str) -> Moto:
    allowed = {"Effect": "Allow", "Action": ["s3:*", "sts:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trusted = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    named = {"PolicyName": "all", "PolicyDocument": policy}
    _query(url, "iam", Action="CreateUser", UserName="u")
    _query(url, "iam", Action="PutUserPolicy", UserName="u", **named)
    keys = _query(url, "iam", Action="CreateAccessKey", UserName="u")
    role = {"RoleName": "r", "AssumeRolePolicyDocument": trusted}
    arn = _tag(_query(url, "iam", Action="CreateRole", **role), "Arn")
    _query(url, "iam", Action="PutRolePolicy", RoleName="r", **named)
    assumed = _query(url, "sts", Action="AssumeRole", RoleArn=arn, RoleSessionName="s")
    return Moto(
        url,
        Keys(_tag(keys, "AccessKeyId"), _tag(keys, "SecretAccessKey")),
        Keys(*(_tag(assumed, n) for n in ("AccessKeyId", "SecretAccessKey", "SessionToken"))),
    )


def _query(url: str, service: str, **form: str) -> str:
    data = urlencode({"Version": "2011-06-15" if service == "sts" else "2010-05-08", **form})
    return _ask(url, service, data)


def _ask(url: str, service: str, body: str, method: str = "POST") -> str:
    scope = f"root/20260101/{REGION}/{service}/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    status, text = asked(url, method, body, headers)
    assert status < 300, text
    return text


def _tag(text: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    assert found is not None, text
    return found[1]


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Azurite's blob storage: the URL of `ACCOUNT` there."""
    assert AZURITE.exists(), "azurite is not installed: make setup-test"
    port = free_port()
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    command: list[str | Path] = [AZURITE, "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--disableProductStyleUrl", "--disableTelemetry", "--location", folder / "azurite"]
    env = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    with _serving(command, f"{url}?comp=list", folder / "azurite.log", env):
        yield url
