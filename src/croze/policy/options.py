"""`--policy` and what comes of several: which files are evaluated, and how strictly.

Rules and messages: buildx `util/buildflags/policy.go`, `build/build.go` (withPolicyConfig).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from croze.errors import InvalidRequest
from croze.gotypes import csv_line
from croze.gotypes.booleans import checked_bool, parse_bool
from croze.gotypes.quote import quote
from croze.policy.contract import PolicyEnv
from croze.policy.library import DEFAULT_NAME, default_policy

DEFAULT_VARIABLE = "BUILDX_DEFAULT_POLICY"
LEVEL_NAMES = ("panic", "fatal", "error", "warning", "info", "debug", "trace")
"""logrus's, by their numbers."""
_LEVELS = {name: number for number, name in enumerate(LEVEL_NAMES)} | {"warn": 3}
_TOGETHER = "disabled policy cannot be combined with other policy flags"


class PolicyOption(Struct, frozen=True):
    """One `--policy`."""

    files: tuple[str, ...] = ()
    reset: bool = False
    disabled: bool = False
    strict: bool | None = None
    log_level: int | None = None

    def plain(self) -> dict[str, object]:
        """The option as Bake's `--print` shows it."""
        files = [{"Filename": each, "Data": None} for each in self.files] or None
        level = None if self.log_level is None else LEVEL_NAMES[self.log_level]
        return {
            "Files": files,
            "Reset": self.reset,
            "Disabled": self.disabled,
            "Strict": self.strict,
            "LogLevel": level,
        }


def parse_option(text: str) -> PolicyOption:
    """The option that one `--policy` says. Raises `InvalidRequest`."""
    return from_fields(csv_line.fields(text))


def from_fields(fields: Sequence[str]) -> PolicyOption:
    """The option that `key=value` pairs say. Raises `InvalidRequest`."""
    files: list[str] = []
    flags: dict[str, bool] = {}
    level: int | None = None
    for each in fields:
        raw_key, equals, value = each.partition("=")
        key = raw_key.lower().strip()
        if not equals or (key == "filename" and not value):
            raise InvalidRequest(f"invalid value {each}")
        if key == "filename":
            files.append(value)
        elif key in ("reset", "disabled", "strict"):
            flags[key] = checked_bool(value, f"invalid value {each}")
        elif key == "log-level":
            level = _level(value, each)
        else:
            raise InvalidRequest(f"invalid value {each}")
    return PolicyOption(
        tuple(files),
        flags.get("reset", False),
        flags.get("disabled", False),
        flags.get("strict"),
        level,
    )


def _level(text: str, field: str) -> int:
    if text.lower() not in _LEVELS:
        message = f"invalid value {field}: not a valid logrus Level: {quote(text)}"
        raise InvalidRequest(message)
    return _LEVELS[text.lower()]


# -- what is to be evaluated --


class WantedFile(Struct, frozen=True):
    """A file of a policy. `text` is None until it is read; an optional file may be missing."""

    name: str
    optional: bool = False
    text: str | None = None


class WantedPolicy(Struct, frozen=True):
    """One policy of a build: its files, and how it is evaluated. `log_level` is logrus's number."""

    files: tuple[WantedFile, ...]
    strict: bool = False
    log_level: int | None = None
    asks_caps: bool = True


class PolicyPlace(Struct, frozen=True):
    """Where a build's policies are: beside its Dockerfile, and in its context."""

    beside: WantedFile | None = None
    context_dir: str = ""
    context_url: str = ""
    context_definition: bytes = b""
    """A marshalled `pb.Definition`: the context is what it makes."""


class PolicyPlan(Struct, frozen=True):
    """The policies of a build, all of which must allow a source."""

    policies: tuple[WantedPolicy, ...]
    place: PolicyPlace
    env: PolicyEnv = field(default_factory=PolicyEnv)
    log_level: int = _LEVELS["info"]
    """Counts where a policy has no level of its own."""


def plan_policies(
    options: Sequence[PolicyOption], place: PolicyPlace, env: PolicyEnv, log_level: int
) -> PolicyPlan | None:
    """What is to be evaluated; None if there is nothing. Raises `InvalidRequest`."""
    composed = _composed(options, place.beside)
    if _by_default() and not any(each.disabled for each in options):
        text = default_policy()
        own = WantedPolicy((WantedFile(DEFAULT_NAME, text=text),), asks_caps=False)
        composed = [own, *composed]
    return PolicyPlan(tuple(composed), place, env, log_level) if composed else None


def _by_default() -> bool:
    return parse_bool(os.environ.get(DEFAULT_VARIABLE, "")) or False


def _composed(options: Sequence[PolicyOption], beside: WantedFile | None) -> list[WantedPolicy]:
    for option in options:
        if option.disabled:
            if option != PolicyOption(disabled=True) or len(options) > 1:
                raise InvalidRequest(_TOGETHER)
            return []
    policies = [WantedPolicy((beside,))] if beside is not None else []
    last = PolicyOption()  # settings without a policy to apply to yet
    for option in options:
        if option.reset:
            policies = []
        if option.files:
            files = tuple(WantedFile(name) for name in option.files)
            policies.append(_with(_with(WantedPolicy(files), last), option))
        elif policies:
            policies[-1] = _with(policies[-1], option)
        else:
            last = option
    return policies


def _with(policy: WantedPolicy, option: PolicyOption) -> WantedPolicy:
    if option.strict is not None:
        policy = replace(policy, strict=option.strict)
    if option.log_level is not None:
        policy = replace(policy, log_level=option.log_level)
    return policy
