"""The grammar of flags: pflag's, on argparse."""

from __future__ import annotations

from argparse import Namespace

import pytest

from croze.cli.common import Common
from croze.cli.flags import Flags, UsageError


def flags() -> Flags:
    made = Flags("croze try", "Try flags", "[OPTIONS] [WORDS]")
    made.switch("-q", "--quiet", help="Say nothing")
    made.choice("--pull", help="Pull")
    made.text("-f", "--file", help="A file", default="Dockerfile")
    made.alias("--old-file", of="file")
    made.shorthand("--plain", of="file", value="plain", help="The plain one")
    made.texts("-t", "--tag", help="A name")
    made.slices("--platform", help="Platforms")
    made.legacy("--memory", of="resource", key="memory")
    made.add_argument("words", nargs="*")
    return made


def read(*arguments: str) -> Namespace:
    return flags().read(arguments, Common())


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("", "quiet", False),
        ("-q", "quiet", True),
        ("--quiet=true", "quiet", True),
        ("--quiet=T", "quiet", True),
        ("--quiet --quiet=false", "quiet", False),
        ("-q=0", "quiet", False),
        ("", "pull", None),
        ("--pull", "pull", True),
        ("--pull=false", "pull", False),
        ("", "file", "Dockerfile"),
        ("--file=a --old-file b", "file", "b"),
        ("--old-file b -f a", "file", "a"),
        ("-f -", "file", "-"),
        ("--file --quiet", "file", "--quiet"),
        ("--plain", "file", "plain"),
        ("--plain=false", "file", "Dockerfile"),
        ("-t a --tag=b -tc", "tag", ["a", "b", "c"]),
        ("-t=a", "tag", ["a"]),
        ("--platform a,b --platform c", "platform", ["a", "b", "c"]),
        ('--platform "a,b",c', "platform", ["a,b", "c"]),
        ("--platform=", "platform", []),
        ("--memory 1g", "resource", ["memory=1g"]),
        ("a -q b", "words", ["a", "b"]),
        ("a -- -q --nope", "words", ["a", "-q", "--nope"]),
        ("-", "words", ["-"]),
    ],
)
def test_a_command_line_is_read(line: str, name: str, value: object) -> None:
    assert getattr(read(*line.split()), name) == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--fil x", "unknown flag: --fil"),
        ("-z", "unknown shorthand flag: 'z' in -z"),
        ("--file", "flag needs an argument: --file"),
        ("-f", "flag needs an argument: 'f' in -f"),
        ("--quiet=2", 'invalid argument "2" for "-q, --quiet" flag: strconv.ParseBool: '
         'parsing "2": invalid syntax'),
    ],
)  # fmt: skip
def test_a_wrong_one_is_refused_in_pflags_words(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(*line.split())
    assert (str(caught.value), caught.value.command) == (message, "croze try")


def test_options_of_every_command_are_kept_apart() -> None:
    common = Common()
    flags().read(["-D", "--builder", "b", "a"], common)
    assert (common.builder, common.debug) == ("b", True)


def test_help_has_columns_and_defaults() -> None:
    lines = flags().format_help().splitlines()
    assert lines[:4] == ["Usage:  croze try [OPTIONS] [WORDS]", "", "Try flags", ""]
    assert '  -f, --file string        A file (default "Dockerfile")' in lines
    assert not any("old-file" in line or "memory" in line for line in lines)
