"""The lint rules: names, descriptions and messages as in BuildKit's rule set.

A rule's `message` takes the arguments named by its template.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from croze.gotypes.quote import quote

_DOCS = "https://docs.docker.com/go/dockerfile/rule/"


class LintRule(Struct, frozen=True):
    """A rule, and what is said of where it is broken. `page` is the last part of its
    documentation's address, empty if it has none."""

    name: str
    description: str
    page: str
    message: Callable[..., str]
    experimental: bool = False

    @property
    def url(self) -> str:
        return f"{_DOCS}{self.page}/" if self.page else ""


STAGE_NAME_CASING = LintRule(
    "StageNameCasing",
    "Stage names should be lowercase",
    "stage-name-casing",
    lambda stage: f"Stage name '{stage}' should be lowercase",
)
FROM_AS_CASING = LintRule(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "from-as-casing",
    lambda from_, as_: f"'{as_}' and '{from_}' keywords' casing do not match",
)
NO_EMPTY_CONTINUATION = LintRule(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    "no-empty-continuation",
    lambda: "Empty continuation line",
)
CONSISTENT_INSTRUCTION_CASING = LintRule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "consistent-instruction-casing",
    lambda command, casing: (
        f"Command '{command}' should match the case of the command majority ({casing})"
    ),
)
DUPLICATE_STAGE_NAME = LintRule(
    "DuplicateStageName",
    "Stage names should be unique",
    "duplicate-stage-name",
    lambda stage: f"Duplicate stage name {quote(stage)}, stage names should be unique",
)
RESERVED_STAGE_NAME = LintRule(
    "ReservedStageName",
    "Reserved words should not be used as stage names",
    "reserved-stage-name",
    lambda stage: f"Stage name should not use the same name as reserved stage {quote(stage)}",
)
JSON_ARGS_RECOMMENDED = LintRule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS"
    " signals",
    "json-args-recommended",
    lambda instruction: (
        f"JSON arguments recommended for {instruction} to prevent unintended behavior related to"
        " OS signals"
    ),
)
MAINTAINER_DEPRECATED = LintRule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "maintainer-deprecated",
    lambda: "Maintainer instruction is deprecated in favor of using label",
)
UNDEFINED_ARG_IN_FROM = LintRule(
    "UndefinedArgInFrom",
    "FROM command must use declared ARGs",
    "undefined-arg-in-from",
    lambda arg, near: f"FROM argument '{arg}' is not declared" + _near(near),
)
WORKDIR_RELATIVE_PATH = LintRule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected"
    " results if the base image changes",
    "workdir-relative-path",
    lambda workdir: (
        f"Relative workdir {quote(workdir)} can have unexpected results if the base image changes"
    ),
)
UNDEFINED_VAR = LintRule(
    "UndefinedVar",
    "Variables should be defined before their use",
    "undefined-var",
    lambda name, near: f"Usage of undefined variable '${name}'" + _near(f"${near}" if near else ""),
)
MULTIPLE_INSTRUCTIONS_DISALLOWED = LintRule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "multiple-instructions-disallowed",
    lambda instruction: (
        f"Multiple {instruction} instructions should not be used in the same stage because only"
        " the last one will be used"
    ),
)
LEGACY_KEY_VALUE_FORMAT = LintRule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    "legacy-key-value-format",
    lambda command: (
        f'"{command} key=value" should be used instead of legacy "{command} key value" format'
    ),
)
INVALID_BASE_IMAGE_PLATFORM = LintRule(
    "InvalidBaseImagePlatform",
    "Base image platform does not match expected target platform",
    "",
    lambda image, expected, actual: (
        f"Base image {image} was pulled with platform {quote(actual)},"
        f" expected {quote(expected)} for current build"
    ),
)
REDUNDANT_TARGET_PLATFORM = LintRule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default"
    " behavior",
    "redundant-target-platform",
    lambda variable: (
        f"Setting platform to predefined {variable} in FROM is redundant as this is the default"
        " behavior"
    ),
)
SECRETS_USED_IN_ARG_OR_ENV = LintRule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    "secrets-used-in-arg-or-env",
    lambda instruction, key: (
        f"Do not use ARG or ENV instructions for sensitive data ({instruction} {quote(key)})"
    ),
)
INVALID_DEFAULT_ARG_IN_FROM = LintRule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    "invalid-default-arg-in-from",
    lambda base: f"Default value for ARG {base} results in empty or invalid base image name",
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED = LintRule(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    "from-platform-flag-const-disallowed",
    lambda platform: f"FROM --platform flag should not use constant value {quote(platform)}",
)
COPY_IGNORED_FILE = LintRule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    "copy-ignored-file",
    lambda command, path: (
        f"Attempting to {command} file {quote(path)} that is excluded by .dockerignore"
    ),
)
INVALID_DEFINITION_DESCRIPTION = LintRule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format:"
    " `# <arg/stage name> <description>`. If this is not intended to be a description comment, add"
    " an empty line or comment between the instruction and the comment.",
    "invalid-definition-description",
    lambda instruction, name: (
        f"Comment for {instruction} should follow the format: `# {name} <description>`"
    ),
    experimental=True,
)
EXPOSE_PROTO_CASING = LintRule(
    "ExposeProtoCasing",
    "Protocol in EXPOSE instruction should be lowercase",
    "expose-proto-casing",
    lambda port: f"Defined protocol '{port}' in EXPOSE instruction should be lowercase",
)
EXPOSE_INVALID_FORMAT = LintRule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become"
    " an error in a future release",
    "expose-invalid-format",
    lambda port: (
        f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
    ),
)


def _near(name: str) -> str:
    return f" (did you mean {name}?)" if name else ""
