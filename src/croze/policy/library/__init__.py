"""Rego that policies find there: helpers for who signed what, and the policy for Docker's own
images. The names and what they check are buildx's `policy/builtins.rego` and `default.rego`."""

from __future__ import annotations

HELPERS_NAME = "builtin/buildx_defaults.rego"
DEFAULT_NAME = "buildx_default_policy.rego"


def helpers() -> str:
    """A module of `package docker` that stands beside every policy."""
    return _text("helpers.rego")


def default_policy() -> str:
    """What `BUILDX_DEFAULT_POLICY` turns on."""
    return _text("default.rego")


def _text(name: str) -> str:
    from importlib import resources  # slow to import, and needed by few

    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
