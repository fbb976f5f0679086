"""Runs a command; errors become messages and exit codes.

Exit codes are buildx's: 1 for an error, 102 for exhausted resources, 130 when cancelled; a command
may return its own (`run` returns its container's).
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from croze.cli.commands import load
from croze.cli.common import Common, UsageError
from croze.files.standard import flush_output, keep_order

if TYPE_CHECKING:
    from croze.errors import CrozeError


def guarded(name: str, words: Sequence[str], common: Common) -> int:
    """Run a command; errors become messages and exit codes."""
    from croze.errors import Canceled, CrozeError, os_message

    if any(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr)):
        from croze.files.terminals import guard_standard_streams

        guard_standard_streams()
    try:
        command = load(name)
        gc.freeze()
        gc.enable()
        take_interrupts()
        with _warnings_shown():
            return command.run(words, common)
    except UsageError as error:
        return usage(str(error), error.command)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    except (KeyboardInterrupt, Canceled) as error:
        _leave()
        return say(str(error) or "context canceled", 130)
    except BrokenPipeError:
        return 141
    except CrozeError as error:
        return failed(error, common)
    except UnicodeEncodeError as error:
        return _not_text(error)
    except OSError as error:
        if common.debug:
            import traceback

            traceback.print_exception(error)
        return say(os_message(error), 1)
    except Exception as error:
        return _unforeseen(error, common)


def _unforeseen(error: Exception, common: Common) -> int:
    """The exit code of what nobody has thought of, such as an answer that no daemon gives."""
    from croze.aio.parallel import root_cause
    from croze.errors import CrozeError

    cause = root_cause(error)
    if isinstance(cause, CrozeError):
        return failed(cause, common)
    return say(internal_error(cause, debug=common.debug), 1)


def internal_error(error: BaseException, *, debug: bool) -> str:
    """One line of a mistake of ours, which says where it is; with `debug` the traceback before."""
    import traceback

    if debug:
        traceback.print_exception(error)
    name, places = type(error).__name__, traceback.extract_tb(error.__traceback__)
    home = f"{os.path.dirname(os.path.dirname(__file__))}/"
    ours = [place for place in places if place.filename.startswith(home)]
    where = f"{ours[-1].filename.removeprefix(home)}:{ours[-1].lineno}" if ours else "croze"
    return f"internal error: {name}: {error} (at {where}; --debug tells more)"


def take_interrupts() -> None:
    """Raise KeyboardInterrupt for an interrupt from now on, as there is something to be left in
    order. An ignored one stays so."""
    import signal

    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupt_on_sigterm() -> None:
    """asyncio cancels the build on SIGINT: let SIGTERM do the same.

    A shell starts its background jobs with SIGINT ignored, and asyncio leaves that alone: as in
    buildx, the signal works there as well.
    """
    import signal

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))


def _not_text(error: UnicodeEncodeError) -> int:
    """Words of a command line may be any bytes; what goes to a daemon or into JSON is text."""
    from croze.gotypes.quote import quote

    return say(f"not valid UTF-8: {quote(str(error.object))}", 1)


def _leave() -> None:
    """Who interrupts again, because leaving takes a moment, changes nothing of how it ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """Have what the library logs for its user while inside on standard error, as buildx's warnings
    are."""
    import logging

    from croze.progress.after import LogsAfter, tell_logs

    shown = LogsAfter()
    shown.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.getLogger().addHandler(shown)
    try:
        yield
    finally:
        keep_order()
        tell_logs()
        logging.getLogger().removeHandler(shown)


def finished(code: int) -> int:
    """The exit code once all that was printed is written, or was not to be."""
    from croze.errors import os_message

    error = flush_output()
    if error is None:
        return code
    if isinstance(error, BrokenPipeError):
        return 141
    return code or say(os_message(error), 1)


def say(message: str, code: int) -> int:
    """Print an error for the user; returns the exit code."""
    print(f"ERROR: {message}", file=sys.stderr)
    return code


def usage(message: str, command: str) -> int:
    """Print what is wrong with a command line; the exit code."""
    return say(f"{message}\nSee '{command} --help'.", 1)


def _print_stacks(error: CrozeError) -> None:
    """Print where in the daemon an error arose."""
    from croze.errors import StackDetail
    from croze.rpc.stacks import stack_lines

    for detail in error.details:
        if isinstance(detail, StackDetail):
            print(*stack_lines(detail), sep="\n", file=sys.stderr)


def failed(error: CrozeError, common: Common) -> int:
    """Print why a build or a request failed: the excerpt of the user's file, and the one clear
    message. The exit code."""
    from croze.errors import ResourceExhausted
    from croze.progress.errors import print_error

    print_error(error, sys.stderr)
    if error.record:
        from croze.cli.desktop import print_details

        print_details({"default": error.record})
    if common.debug:
        import traceback

        traceback.print_exception(error)
        _print_stacks(error)
    return 102 if isinstance(error, ResourceExhausted) else 1
