"""Put on a daemon's path by `test_blocking`: what its event loop should leave to a thread is told.

Python tells an audit hook of calls that may block (docs: "Audit events table"); waits in the
standard library that it does not tell of are wrapped. Each is written, with its stack, to the file
that CROZE_TEST_BLOCKING names. Short work on files is not looked at: a daemon stats and unlinks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time  # its `sleep` is watched
import traceback
from collections.abc import Callable
from typing import Any

PATH = os.environ.get("CROZE_TEST_BLOCKING", "")
ALWAYS = frozenset(
    {
        *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "os.system"),
        *("shutil.copyfile", "shutil.copytree", "shutil.rmtree", "urllib.Request"),
    }
)
INSTANT_S = 0.05
"""What is waited for and ends within this has hardly blocked anybody."""


def on_loop() -> bool:
    return asyncio._get_running_loop() is not None


def tell(what: str) -> None:
    stack = "".join(traceback.format_stack(sys._getframe(2), limit=12))
    with open(PATH, "a") as out:
        out.write(f"{what}\n{stack}\n")


def hook(event: str, args: tuple[Any, ...]) -> None:
    if not on_loop():
        return
    if event in ALWAYS:
        tell(event)
    elif event == "socket.connect" and isinstance(args[0], socket.socket):
        if args[0].gettimeout() != 0:
            tell(event)
    elif event == "fcntl.flock" and not args[1] & (fcntl.LOCK_NB | fcntl.LOCK_UN):
        tell(event)


def wrapped(real: Callable[..., Any], over: Callable[..., bool]) -> Callable[..., Any]:
    """`real`, told of when the loop calls it before what it waits for is over."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        started = sys._getframe(1).f_code.co_filename == threading.__file__  # and runs at once
        if on_loop() and not started and not over(self):
            tell(f"{type(self).__name__}.{real.__name__}")
        return real(self, *args, **kwargs)

    return call


def sleep(seconds: float) -> None:
    if on_loop():
        tell("time.sleep")
    real_sleep(seconds)


def exited(process: subprocess.Popen[bytes]) -> bool:
    try:
        real_wait(process, INSTANT_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def ended(thread: threading.Thread) -> bool:
    real_join(thread, INSTANT_S)
    return not thread.is_alive()


real_sleep = time.sleep
real_join = threading.Thread.join
real_wait = subprocess.Popen.wait

if PATH and not sys.orig_argv[1].endswith("croze"):  # the client is not watched
    time.sleep = sleep  # type: ignore[assignment]
    subprocess.Popen.wait = wrapped(real_wait, exited)  # type: ignore[method-assign]
    subprocess.Popen.communicate = wrapped(  # type: ignore[method-assign]
        subprocess.Popen.communicate, lambda _: False
    )
    threading.Thread.join = wrapped(real_join, ended)  # type: ignore[method-assign]
    threading.Event.wait = wrapped(  # type: ignore[method-assign]
        threading.Event.wait, threading.Event.is_set
    )
    concurrent.futures.Future.result = wrapped(  # type: ignore[method-assign]
        concurrent.futures.Future.result, concurrent.futures.Future.done
    )
    sys.addaudithook(hook)
