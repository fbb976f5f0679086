"""`crozed`'s entry: read the settings, take the machine's resources, serve until told to stop."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence

from croze.daemon import flags
from croze.daemon.flags import Settings
from croze.errors import CrozeError

log = logging.getLogger("croze")


class JsonLines(logging.Formatter):
    """One JSON object a line, with logrus's keys, which BuildKit's log readers expect."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def set_up_logging(settings: Settings) -> None:
    """Log to stderr, in the format and at the level of the settings."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if settings.config.log.format == "json" else text)
    root = logging.getLogger()
    root.addHandler(handler)
    level = settings.config.log.level.upper() or "INFO"
    level = {"TRACE": "DEBUG", "WARN": "WARNING", "PANIC": "CRITICAL"}.get(level, level)
    root.setLevel("DEBUG" if settings.debug else level)
    for name in ("asyncio", "grpc._cython.cygrpc"):
        logging.getLogger(name).setLevel("INFO")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; the exit code."""
    try:
        settings = flags.settings(sys.argv[1:] if argv is None else argv)
        set_up_logging(settings)
        return run(settings)
    except (CrozeError, OSError, ExceptionGroup) as error:
        return explain(error)


def explain(error: Exception) -> int:
    """One clear message for what a user can put right; anything else is raised again."""
    from croze.grpc_errors import root_cause

    cause = root_cause(error)
    if not isinstance(cause, CrozeError | OSError):
        raise error
    print(f"crozed: {cause}", file=sys.stderr)
    return 1


def run(settings: Settings) -> int:
    """Set up what must be there before threads and event loop are, then serve."""
    from croze.daemon.server import serve
    from croze.fs.pool import WorkerPool
    from croze.store.mount import enter_private_namespace

    os.umask(0o022)
    for name in settings.config.ignored:
        log.warning("config: %s has no effect in crozed", name)
    settings.root.mkdir(mode=0o711, parents=True, exist_ok=True)
    enter_private_namespace()
    # The workers start first: they must not inherit what grpc opens.
    pool = WorkerPool(settings.workers)
    pool.start()
    asyncio.run(serve(settings, pool))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main())
