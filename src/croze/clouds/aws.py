"""Whose keys sign requests to AWS.

The environment's variables are read here. All else that AWS' own programs look into (`~/.aws`,
single sign-on, web identities, roles of containers and instances) is botocore's to know: its chain
is AWS' own, changes with AWS' products, and is looked into in the order of the Go SDK. It is
untyped, 34 MB, and a third of a second to import, so it is an extra (`croze[clouds]`), imported
when something is to be found there, and signs and sends nothing for us.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from croze.errors import PermissionDenied


def to_install(package: str) -> str:
    """The command that puts a package where this very process finds it, however it came here."""
    return f"{sys.executable} -m pip install {package}"


@dataclasses.dataclass(frozen=True)
class AwsCredentials:
    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    session_token: str = dataclasses.field(default="", repr=False)


class AwsIdentity(Protocol):
    """Whose keys sign requests to AWS."""

    def credentials(self) -> AwsCredentials:
        """The credentials of now. May block for seconds. Raises `PermissionDenied` if there are
        none."""


class StaticCredentials(Struct, frozen=True):
    """Credentials that are set down in a cache's attributes; they never change."""

    fixed: AwsCredentials

    def credentials(self) -> AwsCredentials:
        """See `AwsIdentity`."""
        return self.fixed


def of_environment(environ: Mapping[str, str] | None = None) -> AwsCredentials | None:
    """What the usual variables say; None unless there are both keys."""
    environ = os.environ if environ is None else environ
    id = environ.get("AWS_ACCESS_KEY_ID") or environ.get("AWS_ACCESS_KEY")
    secret = environ.get("AWS_SECRET_ACCESS_KEY") or environ.get("AWS_SECRET_KEY")
    if not id or not secret:
        return None
    return AwsCredentials(id, secret, environ.get("AWS_SESSION_TOKEN", ""))


class CredentialChain:
    """The process' own identity: its environment's, or what botocore finds. What expires is
    renewed. Thread-safe."""

    def __init__(self) -> None:
        self._found: _Refreshable | None = None

    def credentials(self) -> AwsCredentials:
        """See `AwsIdentity`."""
        return of_environment() or self._looked_up()

    def _looked_up(self) -> AwsCredentials:
        if self._found is None:
            self._found = _look_up()
        frozen = self._found.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            raise PermissionDenied("static credentials are empty")
        return AwsCredentials(frozen.access_key, frozen.secret_key, frozen.token or "")


class _Frozen(Protocol):
    @property
    def access_key(self) -> str | None: ...
    @property
    def secret_key(self) -> str | None: ...
    @property
    def token(self) -> str | None: ...


class _Refreshable(Protocol):
    def get_frozen_credentials(self) -> _Frozen: ...


def _look_up() -> _Refreshable:
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ModuleNotFoundError:
        raise PermissionDenied(
            "no AWS credentials in the cache's attributes or the environment; to look for them in "
            f"~/.aws and roles as well, botocore is needed: {to_install('botocore')}"
        ) from None
    try:
        credentials = Session().get_credentials()
    except BotoCoreError as error:
        raise PermissionDenied(f"failed to refresh cached credentials, {error}") from None
    if credentials is None:
        raise PermissionDenied("failed to refresh cached credentials, no EC2 IMDS role found")
    return credentials
