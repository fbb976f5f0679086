"""What a registry wants to be shown: `WWW-Authenticate`, and scopes.

Sources: RFC 9110, section 11.6.1, read as containerd reads it (`core/remotes/docker/auth`): of one
header its first challenge; distribution project, `docs/spec/auth/scope`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from croze.errors import CrozeError, InvalidRequest
from croze.http.urls import parse_url
from croze.patterns import lazy_pattern

_NAME = lazy_pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER = lazy_pattern(
    r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r'(?:"((?:[^"\\]|\\.)*)"|([!#$%&\'*+.^_`|~0-9A-Za-z-]*))[ \t]*'
)
_ESCAPED = lazy_pattern(r"\\(.)")


class Challenge(Struct, frozen=True):
    """One `WWW-Authenticate` header. `scheme` and the names of parameters are lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def realm(self) -> str:
        """The token server's URL. Raises `CrozeError` where none is named."""
        if "realm" not in self.parameters:
            raise CrozeError("no realm specified for token auth challenge")
        try:
            parse_url(self.parameters["realm"])
        except InvalidRequest as error:
            raise error.wrap("invalid token auth challenge realm") from None
        return self.parameters["realm"]

    @property
    def scopes(self) -> list[str]:
        """What it asks for; an empty scope among them, and it is nothing."""
        scopes = self.parameters.get("scope", "").split(" ")
        return scopes if all(scopes) else []

    def after(self, before: Challenge) -> Challenge:
        """This one, and where a token was not enough also what was asked for before."""
        if "error" not in self.parameters:
            return self
        scope = " ".join(merge_scopes([*before.scopes, *self.scopes]))
        return Challenge(self.scheme, {**self.parameters, "scope": scope})

    def is_final(self, scopes: Sequence[str]) -> bool:
        """Whether it says of a token for these scopes that nobody is given more."""
        lacks = self.parameters.get("error") == "insufficient_scope"
        return lacks and covers(scopes, self.scopes)


def parse_challenges(headers: Sequence[str]) -> list[Challenge]:
    """Read all `WWW-Authenticate` values."""
    challenges = []
    for text in headers:
        if scheme := _NAME.match(text):
            challenges.append(Challenge(scheme[0].lower(), _parameters(text, scheme.end())))
    return challenges


def _parameters(text: str, at: int) -> Mapping[str, str]:
    parameters = {}
    while part := _PARAMETER.match(text, at):
        key, quoted, plain = part.groups()
        parameters[key.lower()] = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        at = part.end() + 1
        if text[at - 1 : at] != ",":
            break
    return parameters


def merge_scopes(scopes: Sequence[str]) -> list[str]:
    """One scope per resource, actions joined: `repository:a:pull` + `…:push,pull`."""
    merged = _actions(scopes)
    return [f"{resource}:{','.join(sorted(acts))}" for resource, acts in sorted(merged.items())]


def covers(scopes: Sequence[str], others: Sequence[str]) -> bool:
    """Whether who may do all of `scopes` may do all of the others."""
    actions = _actions(scopes)
    return all(
        resource in actions and acts <= actions[resource]
        for resource, acts in _actions(others).items()
    )


def _actions(scopes: Sequence[str]) -> dict[str, set[str]]:
    """The actions that scopes name, by the type and name of a resource."""
    actions: dict[str, set[str]] = {}
    for scope in scopes:
        parts = scope.split(":", 2)
        acts = actions.setdefault(":".join(parts[:2]), set())
        acts.update(parts[2].split(",") if len(parts) == 3 else ())
    return actions
