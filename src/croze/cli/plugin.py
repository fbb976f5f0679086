"""Being a plugin of the Docker CLI: `docker buildx …` runs `docker-buildx buildx …`.

A link named `docker-buildx` to `croze` in `~/.docker/cli-plugins` is all that it takes. Docker asks
who we are first, and hands its own global flags on before the plugin's name.

Source: docker/cli `cli-plugins/` (metadata, socket variables), `cli/flags/options.go`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from croze.cli.common import UsageError
from croze.version import BUILDX_VERSION

METADATA = "docker-cli-plugin-metadata"
NAME = "buildx"
_VALUES = {"--config": "DOCKER_CONFIG", "--context": "DOCKER_CONTEXT", "--host": "DOCKER_HOST"}
_SHORT = {"-c": "--context", "-H": "--host", "-l": "--log-level"}
_TLS_FILES = ("--tlscacert", "--tlscert", "--tlskey")


def metadata() -> str:
    """What Docker wants to know of a plugin."""
    import json

    members = {
        "SchemaVersion": "0.1.0",
        "Vendor": "Croze",
        "Version": BUILDX_VERSION,
        "ShortDescription": "Docker Build, whole: Croze",
        "URL": "",
    }
    return json.dumps({key: value for key, value in members.items() if value}, indent=2)


def own_words(argv: Sequence[str]) -> list[str]:
    """The words behind `buildx`, Docker's flags before it applied to the environment; all words
    when it is no call as a plugin. Raises `UsageError`."""
    rest = list(argv)
    docker_flags: list[tuple[str, str]] = []
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        name = _SHORT.get(name, name)
        if name in _VALUES or name == "--log-level" or name in _TLS_FILES:
            if not equals:
                if not rest:
                    return list(argv)
                value = rest.pop(0)
        elif name not in ("-D", "--debug", "--tls", "--tlsverify"):
            return list(argv)
        docker_flags.append((name, value or "true"))
    if rest[:1] != [NAME]:
        return list(argv)
    return [*_applied(docker_flags), *rest[1:]]


def tool() -> str:
    """The command that takes `--debug`: Docker's, if it has started us as its plugin."""
    return "docker" if os.environ.get("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND") else "croze"


def without_name(words: Sequence[str]) -> list[str]:
    """The words that a shell wants completed: Docker puts the plugin's name before them."""
    return list(words[1:] if len(words) > 1 and words[0] == NAME else words)


def _applied(docker_flags: Sequence[tuple[str, str]]) -> list[str]:
    """Docker's flags as the variables that say the same; what is left are flags of ours."""
    ours: list[str] = []
    names = {name for name, _ in docker_flags}
    if {"--context", "--host"} <= names:
        raise UsageError("conflicting options: cannot specify both --host and --context", "croze")
    for name, value in docker_flags:
        if name in _VALUES:
            os.environ[_VALUES[name]] = value
        elif name in ("-D", "--debug"):
            ours.append(f"--debug={value}")
        elif name == "--tlsverify":
            os.environ["DOCKER_TLS_VERIFY"] = "1" if value == "true" else ""
        elif name == "--tls":
            os.environ["DOCKER_TLS"] = "1" if value == "true" else ""
        elif name in _TLS_FILES:
            _certificates(name, value)
    if "--context" in names:
        os.environ.pop("DOCKER_HOST", None)  # which would come first
    return ours


def _certificates(name: str, value: str) -> None:
    """Files must lie together under their usual names: other places can't be handed on."""
    usual = {"--tlscacert": "ca.pem", "--tlscert": "cert.pem", "--tlskey": "key.pem"}[name]
    folder, file = os.path.split(os.path.abspath(value))
    if file != usual or os.environ.setdefault("DOCKER_CERT_PATH", folder) != folder:
        raise UsageError(
            f"{name}={value}: put ca.pem, cert.pem and key.pem in one directory and name it with "
            "DOCKER_CERT_PATH, or make a docker context",
            "croze",
        )
