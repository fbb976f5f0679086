"""`crozed`'s entry: read the settings, take the machine's resources, serve until told to stop."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from croze.daemon.config.default_paths import default_places, own_state_dir
from croze.daemon.config.settings import Settings, TextRequested, help_text, settings
from croze.daemon.host.rootless import SYSCTLS, become_root_of_a_namespace
from croze.errors import CrozeError, PermissionDenied, noted, os_message
from croze.files.redact import redact_text
from croze.files.standard import open_standard_streams
from croze.fs.userns import in_user_namespace
from croze.gotypes.argv import BadFlag
from croze.version import VERSION

log = logging.getLogger("croze")

LEVELS = {"WARN": "WARNING", "FATAL": "CRITICAL", "PANIC": "CRITICAL"}
"""logrus's names that Python has others for."""


class TextLines(logging.Formatter):
    """Formats log records as lines of text."""

    def format(self, record: logging.LogRecord) -> str:
        return redact_text(super().format(record))


class JsonLines(logging.Formatter):
    """Formats log records as lines of JSON, with logrus's keys, which BuildKit's log readers
    expect."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "level": record.levelname.lower(),
            "msg": redact_text(record.getMessage()),
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
        }
        if record.exc_info:
            entry["error"] = redact_text(self.formatException(record.exc_info))
        return json.dumps(entry)


def set_up_logging(settings: Settings) -> None:
    """Log to stderr, in the format and at the level of the settings."""
    handler = logging.StreamHandler()
    text = TextLines("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if settings.config.log.format == "json" else text)
    root = logging.getLogger()
    root.addHandler(handler)
    level = settings.config.log.level.upper() or "INFO"
    root.setLevel("DEBUG" if settings.debug else LEVELS.get(level, level))
    for name in ("asyncio", "hpack"):  # hpack tells the values of headers
        logging.getLogger(name).setLevel("INFO")


def program() -> str:
    """The name we were started under, if that is buildkitd's."""
    name = os.path.basename(sys.argv[0])
    return name if name == "buildkitd" else "crozed"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; the exit code."""
    open_standard_streams()
    argv = sys.argv[1:] if argv is None else argv
    try:
        become_root_of_a_namespace(argv)
        chosen = settings(argv)
        set_up_logging(chosen)
        return run(chosen)
    except TextRequested as asked:
        return answer(asked)
    except BadFlag as error:
        print(help_for_all())
        print(f"Incorrect Usage: {error}\n", file=sys.stderr)
        return explain(error)
    except Exception as error:
        return explain(error)


def answer(request: TextRequested) -> int:
    """Print the text that was asked for; the exit code, urfave/cli's."""
    if request.topic:
        print(f"No help topic for '{request.topic}'", file=sys.stderr)
        return 3
    print(f"{program()} croze v{VERSION}" if request.text == "version" else help_for_all())
    return 0


def help_for_all() -> str:
    """The help, with default paths as they are for this user."""
    return help_text(program(), default_places(os.environ))


def explain(error: Exception) -> int:
    """One clear message for what a user can put right; anything else is raised again."""
    import sqlite3

    from croze.aio.parallel import root_cause

    cause = root_cause(error)
    text = str(cause)
    if isinstance(cause, sqlite3.Error):
        text = noted(cause)
    elif isinstance(cause, OSError):
        text = os_message(cause)
    elif not isinstance(cause, CrozeError):
        raise error
    print(f"{program()}: {text}", file=sys.stderr)
    return 1


def run(settings: Settings) -> int:
    """Set up what must be there before threads and event loop are, then serve."""
    from croze.daemon.host.helper import HostHelper
    from croze.files.installation import keep_installation

    keep_installation()
    helper = HostHelper.start()
    from croze.daemon.server import serve
    from croze.workers.memory import share_one_heap

    share_one_heap()
    os.umask(0o077)  # what an image's files are like, those who make them say
    take_all_descriptors()
    for warning in settings.warnings:
        log.warning("%s", warning)
    own_state_dir(settings.root)
    take_private_mounts()
    asyncio.run(serve(settings, helper))
    return 0


def take_all_descriptors() -> None:
    """Raise the limit of open files as far as it goes, as Go's runtime does for buildkitd: shells
    and systemd start a process with 1024. Containers inherit it, as they do there."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # where the kernel has lowered what anybody may have
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def take_private_mounts() -> None:
    """Enter a mount namespace of the daemon's own. Raises `PermissionDenied` with what can be done
    about it."""
    from croze.fs.mount import enter_private_namespace

    try:
        enter_private_namespace()
    except PermissionDenied as error:
        advice = SYSCTLS if in_user_namespace() else "crozed needs CAP_SYS_ADMIN, or another user"
        raise PermissionDenied(f"{error}: {advice}") from error


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main())
