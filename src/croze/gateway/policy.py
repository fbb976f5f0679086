"""Source policies: which sources a build may use, and what stands in for others.

A policy is a list of rules; the last ALLOW or DENY that matches a source counts, and a CONVERT
that changes it starts over. Meaning and words are those of BuildKit's `sourcepolicy`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from croze.api import ops_pb2, policy_pb2
from croze.errors import CrozeError, InvalidRequest, PermissionDenied
from croze.gotypes.regexp import BadExpression, Match, Regexp
from croze.http.urls import parse_url
from croze.image import reference
from croze.patterns import lazy_pattern
from croze.sources.git import options as git_options
from croze.sources.request import SourceRequest

MAX_CHANGES = 20
MAX_IDENTIFIER = 1 << 16
"""Characters. What rules make of a name, and again of what they made, may else grow for ever."""
_REFERENCE = lazy_pattern(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)


class SourcePolicies:
    """Policies that all hold, in this order."""

    def __init__(self, policies: Sequence[policy_pb2.Policy] = ()) -> None:
        if any(not rule.HasField("selector") for policy in policies for rule in policy.rules):
            raise InvalidRequest("invalid nil selector in policy")
        self._policies = tuple(policy for policy in policies if policy.rules)

    def __bool__(self) -> bool:
        return bool(self._policies)

    def also(self, policies: Sequence[policy_pb2.Policy]) -> SourcePolicies:
        """These policies, and others after them."""
        return SourcePolicies((*self._policies, *policies)) if policies else self

    def decide(self, source: ops_pb2.SourceOp) -> ops_pb2.SourceOp:
        """What the source is replaced with, or a copy of itself. Raises `PermissionDenied` for one
        that is denied."""
        decided = ops_pb2.SourceOp()
        decided.CopyFrom(source)
        decided.identifier = normalized(source)
        for _ in range(MAX_CHANGES + 1):
            if not any(_apply(policy, decided) for policy in self._policies):
                return decided
        raise CrozeError("too many mutations on a single source: too many operations")


def normalized(source: ops_pb2.SourceOp) -> str:
    """A source's identifier in full: sources are matched by that, whatever a client calls them."""
    scheme, _, rest = source.identifier.partition("://")
    try:
        if scheme == "docker-image":
            return f"docker-image://{reference.normalize(rest)}"
        if scheme == "git":
            return _normalized_git(source)
    except InvalidRequest:
        pass
    return source.identifier


def _normalized_git(source: ops_pb2.SourceOp) -> str:
    """A git source's identifier by host and path, whichever way they are reached."""
    options = git_options.parse_options(SourceRequest(source.identifier, dict(source.attrs)))
    remote = options.remote
    if "://" in remote:
        url = parse_url(remote)
        host, path = url.netloc.rpartition("@")[2], url.path
    else:
        host, _, path = remote.rpartition("@")[2].partition(":")
    fragment = options.ref + (f":{options.subdir}" if options.subdir else "")
    name = f"git://{host}{posixpath.normpath('/' + path.lstrip('/'))}"
    return f"{name}#{fragment}" if fragment else name


def _apply(policy: policy_pb2.Policy, source: ops_pb2.SourceOp) -> bool:
    """Whether a rule has changed the source; the rest is not looked at then."""
    identifier, denied = source.identifier, False
    for rule in policy.rules:
        if not _matches(rule.selector, identifier, source.attrs):
            continue
        match rule.action:
            case policy_pb2.ALLOW:
                denied = False
            case policy_pb2.DENY:
                denied = True
            case policy_pb2.CONVERT:
                if _convert(rule, source):
                    return True
            case _:
                raise InvalidRequest(
                    f"source policy: rule {rule.action} {rule.selector.identifier}: unknown type "
                    f'"{identifier}"'
                )
    if denied:
        raise PermissionDenied(f'source "{identifier}" denied by policy: source denied by policy')
    return False


def _matches(selector: policy_pb2.Selector, identifier: str, attrs: Mapping[str, str]) -> bool:
    if not all(_holds(constraint, attrs) for constraint in selector.constraints):
        return False
    if selector.identifier == identifier:
        return True
    match selector.match_type:
        case policy_pb2.EXACT:
            return False
        case policy_pb2.REGEX:
            return _pattern(selector).search(identifier)
        case policy_pb2.WILDCARD:
            return _pattern(selector).fullmatch(identifier) is not None
    raise InvalidRequest(f"unknown match type: {selector.match_type}")


def _holds(constraint: policy_pb2.AttrConstraint, attrs: Mapping[str, str]) -> bool:
    value = attrs.get(constraint.key, "")
    match constraint.condition:
        case policy_pb2.EQUAL:
            return value == constraint.value
        case policy_pb2.NOTEQUAL:
            return value != constraint.value
        case policy_pb2.MATCHES:
            return _compiled(constraint.value).search(value)
    raise InvalidRequest(f"unknown attr condition: {constraint.condition}")


def _convert(rule: policy_pb2.Rule, source: ops_pb2.SourceOp) -> bool:
    if not rule.HasField("updates"):
        raise InvalidRequest("error mutating source policy: missing destination for convert rule")
    target = _format(rule.selector, source.identifier, rule.updates.identifier)
    changed = bool(target) and target != source.identifier
    if changed:
        source.identifier = target
    for key, value in rule.updates.attrs.items():
        if source.attrs.get(key, "") != value:
            source.attrs[key] = value
            changed = True
    return changed


def _format(selector: policy_pb2.Selector, identifier: str, target: str) -> str:
    """The destination, where `$1` or `${1}` stand for what the selector's groups match."""
    target = target or selector.identifier
    expansion = _Expansion(target)
    match selector.match_type:
        case policy_pb2.EXACT:
            return target
        case policy_pb2.WILDCARD:
            match = _pattern(selector).fullmatch(identifier)
            return expansion.of(match) if match else identifier
    return _pattern(selector).replace(identifier, expansion.of)


class _Expansion:
    """Go's `Regexp.Expand`: a group that isn't there is empty."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._room = MAX_IDENTIFIER

    def of(self, match: Match) -> str:
        def value(reference: re.Match[str]) -> str:
            if reference[1]:
                return "$"
            name = reference[2] or reference[3]
            if name.isdigit() and len(name) > 9:
                return ""
            return self._fitting(match[int(name) if name.isdigit() else name])

        self._fitting(self._template)
        return _REFERENCE.sub(value, self._template)

    def _fitting(self, text: str) -> str:
        self._room -= len(text)
        if self._room < 0:
            raise InvalidRequest(
                f"source policy: a rule makes a source's name longer than {MAX_IDENTIFIER}"
            )
        return text


def _pattern(selector: policy_pb2.Selector) -> Regexp:
    if selector.match_type == policy_pb2.REGEX:
        return _compiled(selector.identifier)
    if "**" in selector.identifier:
        raise InvalidRequest('invalid wildcard: "**"')
    return Regexp("(.*)".join(re.escape(part) for part in selector.identifier.split("*")))


def _compiled(text: str) -> Regexp:
    try:
        return Regexp(text)
    except BadExpression as error:
        raise InvalidRequest(f'invalid regex "{text}": {error}') from None
