"""The commands of the monitor's console.

Source: buildx `monitor/commands`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.debug.invocation import Invocation
from croze.debug.terminal import say
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.gotypes.quote import quote
from croze.gotypes.tabwriter import align, align_by_tabs

if TYPE_CHECKING:
    from croze.debug.monitor import Monitor


class MonitorCommand(Struct, frozen=True):
    """A command of the monitor, with what its help says."""

    perform: Callable[[Monitor, Sequence[str]], None]
    about: str
    usage: str


def perform(monitor: Monitor, line: str) -> None:
    """Do what a line says. Raises `EOFError` if the monitor is to end."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        say("monitor: failed to parse command: EOF found when expecting closing quote")
        return
    if not words or not words[0]:
        return
    name, arguments = words[0], words[1:]
    if name == "exit":
        raise EOFError
    if name == "help":
        say(help_of(arguments[0]) if arguments else HELP)
    elif name not in COMMANDS:
        say(f"monitor: unknown command: {quote(line)}\n{HELP}")
    else:
        try:
            COMMANDS[name].perform(monitor, arguments)
        except CrozeError as error:
            say(f"{name}: {error}\n")


def _reload(monitor: Monitor, _arguments: Sequence[str]) -> None:
    monitor.reload()


def _rollback(monitor: Monitor, arguments: Sequence[str]) -> None:
    invocation = monitor.invocation
    words = list(arguments)
    if words[:1] == ["--init"]:
        invocation.initial = True
        words = words[1:]
    if words:
        invocation.entrypoint, invocation.cmd, invocation.no_cmd = words[:1], words[1:], False
    from croze.debug.monitor import RESTARTED

    running = monitor.rollback(invocation)
    say(RESTARTED.format(running.id))
    monitor.attach(running)


def _attach(monitor: Monitor, arguments: Sequence[str]) -> None:
    if not arguments:
        raise InvalidRequest("PID of process must be passed")
    running = monitor.processes.get(arguments[0])
    if running is None:
        raise NotFound(f"pid {arguments[0]}: not found")
    say(f'Attached to process "{running.id}". Press Ctrl-a-c to switch to the new container\n')
    monitor.attach(running)


def _exec(monitor: Monitor, arguments: Sequence[str]) -> None:
    if not arguments:
        raise InvalidRequest("command must be passed")
    current = monitor.invocation
    invocation = Invocation(
        entrypoint=list(arguments[:1]),
        cmd=list(arguments[1:]),
        no_cmd=False,
        env=current.env,
        user=current.user,
        cwd=current.cwd,
    )
    running = monitor.execute(invocation)
    say(f'Process "{running.id}" started. Press Ctrl-a-c to switch to that process.\n')
    monitor.attach(running)


def _ps(monitor: Monitor, _arguments: Sequence[str]) -> None:
    rows = ["PID\tCURRENT_SESSION\tCOMMAND"]
    for each in monitor.processes:
        attached = "true" if monitor.is_attached(each) else "false"
        rows.append(f"{each.id:<20}\t{attached}\t[{' '.join(each.invocation.command)}]")
    say(align_by_tabs("\n".join(rows)) + "\n")


COMMANDS = {
    "attach": MonitorCommand(
        _attach,
        "attach to a process in the container",
        "  attach PID\n\nPID is for a process (visible via ps command).\n"
        "Use Ctrl-a-c for switching the monitor to that process's STDIO.\n",
    ),
    "exec": MonitorCommand(
        _exec,
        "execute a process in the interactive container",
        "  exec COMMAND [ARG...]\n\nCOMMAND and ARG... will be executed in the container.\n",
    ),
    "ps": MonitorCommand(
        _ps,
        'list processes invoked by "exec". Use "attach" to attach IO to that process',
        "  ps\n",
    ),
    "reload": MonitorCommand(_reload, "reloads the context and build it", "  reload\n"),
    "rollback": MonitorCommand(
        _rollback,
        "re-runs the interactive container with the step's rootfs contents",
        "  rollback [FLAGS] [COMMAND] [ARG...]\n\n"
        "Flags:\n  --init Run the container with the initial rootfs of that step.\n\n"
        "COMMAND and ARG... will be executed in the container.\n",
    ),
}
_MORE = {
    "help": "shows this message. Optionally pass a command name as an argument to print the "
    "detailed usage.",
    "exit": "exits monitor",
}


def _help() -> str:
    about = {name: command.about for name, command in COMMANDS.items()} | _MORE
    rows = "\n".join(f"  {name}\t{about[name]}" for name in sorted(about))
    return "Available commands are:\n" + align(rows, padding=0, pad="\t") + "\n"


HELP = _help()


def help_of(name: str) -> str:
    """The help of one command."""
    command = COMMANDS.get(name)
    if command is None:
        return f"monitor: no help message for {quote(name)}\n{HELP}"
    return f"{command.about}\n\nUsage:\n{command.usage}\n"
