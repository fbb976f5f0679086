"""Command lines in the grammars of Go's programs."""

from __future__ import annotations

import pytest

from croze.gotypes.argv import PFLAG, URFAVE, BadFlag, CommandLine, FlagNames, Grammar

DEBUG = FlagNames(("-d", "--debug"), switch=True)
QUIET = FlagNames(("-q",), switch=True)
ROOT = FlagNames(("-r", "--root"))
FLAGS = (DEBUG, QUIET, ROOT)


def read(grammar: Grammar, line: str) -> CommandLine:
    return grammar.read(line.split("|") if line else [], FLAGS, until="go".__eq__)


def shown(line: CommandLine) -> tuple[str, list[str]]:
    """`d1 rx`: the letter of each flag, with its value."""
    short = {"true": "1", "false": "0"}
    pairs = [f"{flag.names[0][1]}{short.get(value, value)}" for flag, value in line.values]
    return " ".join(pairs), list(line.words)


@pytest.mark.parametrize(
    ("line", "pflag", "urfave"),
    [
        ("", ("", []), ("", [])),
        ("--debug|a", ("d1", ["a"]), ("d1", ["a"])),
        ("--debug=false|--debug=T", ("d0 d1", []), ("d0 d1", [])),
        ("--debug|false", ("d1", ["false"]), ("d1", ["false"])),
        ("a|--root|x|b", ("rx", ["a", "b"]), ("rx", ["a", "b"])),
        ("--root=a=b", ("ra=b", []), ("ra=b", [])),
        ("--root=", ("r", []), ("r", [])),
        ("--root|-d", ("r-d", []), ("r-d", [])),
        ("-r|x|--|-d|--no", ("rx", ["-d", "--no"]), ("rx", ["-d", "--no"])),
        ("-r=x", ("rx", []), ("rx", [])),
        ("-d|go|-d|--no", ("d1", ["go", "-d", "--no"]), ("d1", ["go", "-d", "--no"])),
        # Where they part:
        ("-|-d", ("d1", ["-"]), ("", ["-"])),
        ("-r=", ("r=", []), ("r", [])),
    ],
)
def test_a_line(line: str, pflag: tuple[str, list[str]], urfave: tuple[str, list[str]]) -> None:
    assert shown(read(PFLAG, line)) == pflag
    assert shown(read(URFAVE, line)) == urfave


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("-dq", "d1 q1"),
        ("-dqrx", "d1 q1 rx"),
        ("-qr|x", "q1 rx"),
        ("-d=0", "d0"),
        ("-dr=x", "d1 rx"),
    ],
)
def test_pflag_takes_letters_apart(line: str, values: str) -> None:
    assert shown(read(PFLAG, line)) == (values, [])


@pytest.mark.parametrize(
    ("line", "values", "words"),
    [
        ("-debug|-root|x", "d1 rx", []),
        ("-debug=|-root=", "d1 r", []),
        (" --debug ", "d1", []),
        ("-3|--debug", "", ["-3", "--debug"]),
        ("-=x|-d", "", ["-=x", "-d"]),
    ],
)
def test_urfave_takes_whole_names(line: str, values: str, words: list[str]) -> None:
    assert shown(read(URFAVE, line)) == (values, words)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--no=1", "unknown flag: --no"),
        ("-dz", "unknown shorthand flag: 'z' in -z"),
        ("-zd", "unknown shorthand flag: 'z' in -zd"),
        ("--root", "flag needs an argument: --root"),
        ("-dr", "flag needs an argument: 'r' in -r"),
        ("--=x", "bad flag syntax: --=x"),
        ("---d", "bad flag syntax: ---d"),
        ("--debug=", 'invalid argument "" for "-d, --debug" flag: strconv.ParseBool: '
         'parsing "": invalid syntax'),
        ("-d=no", 'invalid argument "no" for "-d, --debug" flag: strconv.ParseBool: '
         'parsing "no": invalid syntax'),
        ("--debug=tRUE|--no", 'invalid argument "tRUE" for "-d, --debug" flag: '
         'strconv.ParseBool: parsing "tRUE": invalid syntax'),
    ],
)  # fmt: skip
def test_what_pflag_says(line: str, message: str) -> None:
    with pytest.raises(BadFlag) as caught:
        read(PFLAG, line)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--no=1", "flag provided but not defined: -no"),
        ("-dq", "flag provided but not defined: -dq"),
        ("---debug", "flag provided but not defined: --debug"),
        ("--=x", "flag provided but not defined: -"),
        ("a|-root", "flag needs an argument: -root"),
        ("-debug=no", 'invalid value "no" for flag -debug: parse error'),
        ("--d=no", 'invalid value "no" for flag -d: parse error'),
    ],
)
def test_what_urfave_says(line: str, message: str) -> None:
    with pytest.raises(BadFlag) as caught:
        read(URFAVE, line)
    assert str(caught.value) == message
