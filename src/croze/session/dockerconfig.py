"""The Docker CLI's configuration: registry credentials and proxies.

Source: docker/cli `cli/config`. Credentials lie in the file, or in a helper program
`docker-credential-<name>` that the file names for all hosts or for one.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping

from msgspec import Struct

from croze.errors import CrozeError, os_message
from croze.files.docker_config import config_dir
from croze.files.settings import parse_json, parse_settings, read_settings
from croze.gotypes.json_text import syntax_error

HUB_HOST = "registry-1.docker.io"
HUB_KEY = "https://index.docker.io/v1/"
TOKEN_USER = "<token>"
NOT_FOUND = "credentials not found in native keychain"

log = logging.getLogger(__name__)


class AuthConfig(Struct, frozen=True):
    """What is known for a host; all empty: nothing."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @property
    def secret(self) -> str:
        """What the user proves to be who they are with: a token goes before a password."""
        return self.identity_token or self.password

    @property
    def user(self) -> str:
        """The user name that goes with `secret`: none with an identity token."""
        return "" if self.identity_token else self.username


class DockerConfig:
    """`config.json`, read once."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    @classmethod
    def load(cls) -> DockerConfig:
        """The user's file with what `DOCKER_AUTH_CONFIG` adds; empty if there is none. Raises
        `CrozeError` for a file that can't be read, or is no JSON."""
        path = config_dir() / "config.json"
        values: dict[str, object] = {}
        try:
            loaded = parse_settings(read_settings(path))
            values = loaded if isinstance(loaded, dict) else {}
        except FileNotFoundError:
            pass
        except PermissionError:  # another user's home, as under sudo: Docker goes on, too
            log.warning("Error loading config file: open %s: permission denied", path)
        except OSError as error:
            raise CrozeError(f"loading config file: {os_message(error)}") from None
        except ValueError as error:
            raise CrozeError(f"loading config file: {path}: {error}") from None
        return cls({**values, **_from_env()})

    @property
    def prune_filters(self) -> list[str]:
        """`pruneFilters`: what the user always wants to be pruned by."""
        value = self._values.get("pruneFilters")
        listed = value if isinstance(value, list) else []
        return [text for text in listed if isinstance(text, str)]

    def auth_for(self, host: str) -> AuthConfig:
        """Credentials for a registry host. Runs a helper program if one is configured."""
        key = HUB_KEY if host == HUB_HOST else host
        inline = _texts(self._values.get("__env_auths"))
        if key in inline:
            return _decode(inline[key])
        helper = self._helper(key)
        if helper:
            return _ask_helper(helper, key)
        return self._from_file(key)

    def _helper(self, key: str) -> str:
        helpers = _texts(self._values.get("credHelpers"))
        name = helpers.get(key, self._values.get("credsStore", ""))
        return name if isinstance(name, str) else ""

    def _from_file(self, key: str) -> AuthConfig:
        auths = _texts(self._values.get("auths"))
        if key in auths:
            return _decode(auths[key])
        for name, entry in auths.items():
            if hostname(name) == key:
                return _decode(entry)
        return AuthConfig()

    @property
    def has_proxies_of_engines(self) -> bool:
        """Whether some are for the builds of one engine alone."""
        return bool(_texts(self._values.get("proxies")).keys() - {"default"})

    def proxies(self, host: str = "default") -> dict[str, str]:
        """The proxies configured for the builds of a daemon, by their variables' names."""
        entries = _texts(self._values.get("proxies"))
        entry = _texts(entries.get(host) or entries.get("default"))
        named = ((name, entry.get(key)) for key, name in _PROXIES)
        return {name: value for name, value in named if isinstance(value, str) and value}


_PROXIES = (
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
)


def _from_env() -> dict[str, object]:
    """`DOCKER_AUTH_CONFIG` holds credentials that come before the file's."""
    try:
        loaded = parse_json(os.environ.get("DOCKER_AUTH_CONFIG") or "{}")
    except ValueError:
        return {}
    return {"__env_auths": loaded.get("auths")} if isinstance(loaded, dict) else {}


def _texts(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def hostname(key: str) -> str:
    """The host of an entry's key, which may be a URL."""
    return key.removeprefix("http://").removeprefix("https://").partition("/")[0]


def _decode(entry: object) -> AuthConfig:
    texts = {k: v for k, v in _texts(entry).items() if isinstance(v, str)}
    username, password = texts.get("username", ""), texts.get("password", "")
    if texts.get("auth"):
        try:
            text = base64.b64decode(texts["auth"]).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
        username, _, password = text.partition(":")
        password = password.strip("\0")
    return AuthConfig(
        username, password, texts.get("identitytoken", ""), texts.get("registrytoken", "")
    )


def _ask_helper(name: str, key: str) -> AuthConfig:
    output, problem = _run_helper(f"docker-credential-{name}", key)
    if problem and output == NOT_FOUND:
        return AuthConfig()
    if problem:
        raise CrozeError(f"error getting credentials - err: {problem}, out: `{output}`")
    try:
        answer = _texts(parse_json(output))
    except ValueError as error:
        raise CrozeError(syntax_error(output) or str(error)) from None
    username, secret = str(answer.get("Username", "")), str(answer.get("Secret", ""))
    if username == TOKEN_USER:
        return AuthConfig(identity_token=secret)
    return AuthConfig(username, secret)


def _run_helper(program: str, key: str) -> tuple[str, str]:
    """What a helper printed, and what went wrong, in Go's words. What it says on standard error is
    for the user."""
    path = shutil.which(program)
    if path is None:
        return "", f'exec: "{program}": executable file not found in $PATH'
    try:
        process = subprocess.run(
            [path, "get"], input=key.encode(), stdout=subprocess.PIPE, check=False
        )
    except OSError as error:
        return "", f"fork/exec {os_message(error)}"
    output = process.stdout.decode(errors="replace").strip()
    return output, _ended(process.returncode) if process.returncode else ""


def _ended(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal: {signal.strsignal(-code)}".lower()
