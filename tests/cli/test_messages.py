"""Command lines that make no sense: one message, where to read more, and exit code 1."""

from __future__ import annotations

import pytest

from croze.cli.main import command_of, run

AT_MOST, AT_LEAST = "requires at most 1 argument", "requires at least 1 argument"
WRONG = {
    "use a b": ("'croze use' " + AT_MOST, "croze use"),
    "stop a b": ("'croze stop' " + AT_MOST, "croze stop"),
    "inspect a b": ("'croze inspect' " + AT_MOST, "croze inspect"),
    "create a b": ("'croze create' " + AT_MOST, "croze create"),
    "cancel": ("'croze cancel' " + AT_LEAST, "croze cancel"),
    "rmi": ("'croze rmi' " + AT_LEAST, "croze rmi"),
    "cache-mount inspect": ("'croze cache-mount inspect' " + AT_LEAST, "croze cache-mount inspect"),
    "build": ("'croze build' requires 1 argument", "croze build"),
    "build a b": ("'croze build' requires 1 argument", "croze build"),
    "build --ulimit x .": (
        'invalid argument "x" for "--ulimit" flag: invalid ulimit argument: x',
        "croze build",
    ),
    "build --shm-size x .": (
        'invalid argument "x" for "--shm-size" flag: invalid size: \'x\'',
        "croze build",
    ),
    "dap nosuch": ("'croze dap' requires build, or attach and a path", "croze dap"),
    "du x": ("'croze du' accepts no arguments", "croze du"),
    "version x": ("'croze version' requires 0 arguments", "croze version"),
    "nosuch": ('unknown command: "nosuch"', "croze"),
    "biuld .": ('unknown command: "biuld", did you mean build?', "croze"),
    "history nosuch": ('unknown command: "nosuch"', "croze history"),
    "--nope": ("unknown flag: --nope", "croze"),
    "--builder": ("flag needs an argument: --builder", "croze"),
    "build --nope=1 .": ("unknown flag: --nope", "croze build"),
    "build -Z .": ("unknown shorthand flag: 'Z' in -Z", "croze build"),
    "build -t": ("flag needs an argument: 't' in -t", "croze build"),
    "build --tag": ("flag needs an argument: --tag", "croze build"),
    "build --load=maybe .": (
        'invalid argument "maybe" for "--load" flag: strconv.ParseBool: parsing "maybe": '
        "invalid syntax",
        "croze build",
    ),
    "inspect --timeout x": (
        'invalid argument "x" for "--timeout" flag: time: invalid duration "x"',
        "croze inspect",
    ),
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_said_in_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    message, command = WRONG[line]
    assert run(line.split()) == 1
    assert capsys.readouterr() == ("", f"ERROR: {message}\nSee '{command} --help'.\n")


@pytest.mark.parametrize("line", ["", "-h", "--help", "help", "-D"])
def test_help_is_printed(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage:  croze [OPTIONS] COMMAND\n")
    assert not err


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("build .", "build"),
        ("b .", "build"),
        ("--builder x f", "bake"),
        ("-D --builder=x du", "du"),
        ("buildx build .", "build"),
        ("--builder", ""),
        ("", ""),
    ],
)
def test_the_command_behind_options_and_short_names(
    line: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if line.startswith("buildx"):
        monkeypatch.setenv("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", "/usr/bin/docker")
    assert command_of(line.split()) == command
