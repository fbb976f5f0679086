"""The linter: which rules are on, and what they found.

Configured by the `check` directive, the `BUILDKIT_DOCKERFILE_CHECK` argument, and `check=` comments
above single instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from croze.dockerfile.directives import DirectiveScanner
from croze.dockerfile.lint_rules import LintRule
from croze.dockerfile.location import DockerfileError, Ranges
from croze.dockerfile.suggest import Comparisons
from croze.gotypes.booleans import checked_bool
from croze.gotypes.quote import quote


class LintWarning(Struct, frozen=True):
    """One finding. `message` is about this place, `description` about the rule."""

    rule: str
    description: str
    url: str
    message: str
    location: Ranges


WarnSink = Callable[[LintWarning], None]


class LintConfig(Struct, frozen=True):
    """Rules to leave out, experimental rules to add, and whether findings fail the build."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    error: bool = False

    def merge(self, other: LintConfig) -> LintConfig:
        """What the two configurations say together, for one instruction: `error` stays."""
        return replace(
            self,
            skip=self.skip | other.skip,
            skip_all=self.skip_all or other.skip_all,
            experimental=self.experimental | other.experimental,
            experimental_all=self.experimental_all or other.experimental_all,
        )

    def allows(self, rule: LintRule) -> bool:
        """Whether the rule is looked at: an experimental one if it was asked for, any other unless
        it is skipped."""
        if rule.experimental:
            return self.experimental_all or rule.name in self.experimental
        return not self.skip_all and rule.name not in self.skip


class Linter(Struct, frozen=True):
    """Runs rules. Without a sink it does nothing; linters derived from it share what was found."""

    config: LintConfig = LintConfig()
    sink: WarnSink | None = None
    fired: list[str] = field(default_factory=list)
    """Names of the rules that fired, in order."""
    comparisons: Comparisons = field(default_factory=Comparisons)

    def run(self, rule: LintRule, location: Ranges, *args: str) -> None:
        """Report that `rule` is broken at `location`; `args` go into the rule's message."""
        if self.sink is None or not self.config.allows(rule):
            return
        self.fired.append(rule.name)
        message = rule.message(*args)
        self.sink(LintWarning(rule.name, rule.description, rule.url, message, location))

    def for_comments(self, comments: Sequence[str]) -> Linter:
        """This linter with the `check=` of an instruction's comments merged in."""
        for comment in comments:
            directive = _directive(comment)
            if directive is None:
                continue
            try:
                config = parse_check(directive.partition(" ")[0])
            except DockerfileError:
                return self
            return replace(self, config=self.config.merge(config))
        return self

    def error(self) -> DockerfileError | None:
        """The error that ends the build if findings are to fail it."""
        if not self.config.error or not self.fired:
            return None
        names = ", ".join(sorted(set(self.fired)))
        return DockerfileError(f"lint violation found for rules: {names}")


def _directive(comment: str) -> str | None:
    try:
        directive = DirectiveScanner(prefix="").scan(comment)
    except DockerfileError:
        return None
    return directive.value if directive is not None and directive.name == "check" else None


def parse_check(text: str) -> LintConfig:
    """The value of a `check` directive: `skip=a,b;error=true;experimental=all`."""
    text = text.strip()
    config = LintConfig()
    if not text:
        return config
    for part in text.split(";", 2):
        key, equals, value = part.partition("=")
        if not equals:
            raise DockerfileError(f"invalid check option {quote(part)}")
        config = _apply_option(config, part, key.strip(), value.strip())
    return config


def _apply_option(config: LintConfig, part: str, key: str, value: str) -> LintConfig:
    names = frozenset(name.strip() for name in value.split(","))
    match key:
        case "skip" if value == "all":
            return replace(config, skip_all=True)
        case "skip":
            return replace(config, skip=names)
        case "experimental" if value == "all":
            return replace(config, experimental_all=True)
        case "experimental":
            return replace(config, experimental=names)
        case "error":
            failure = f"failed to parse check option {quote(part)}"
            return replace(config, error=checked_bool(value, failure, DockerfileError))
    raise DockerfileError(f"invalid check option {quote(key)}")


def format_short(rule: str, message: str, line: int) -> str:
    """A warning on one line, as the build shows it."""
    text = f"{rule}: {message}"
    return f"{text} (line {line})" if line > 0 else text
