"""Messages of a call that are handed over as they come: a task's turn for each batch of them would
cost more than what is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from croze.rpc.http2.stream import Http2Stream


async def pushed(stream: Http2Stream, hand_over: Callable[[], bool]) -> None:
    """Call `hand_over` for all that has come and whenever there is news of a stream, until it says
    that nothing more comes. Raises what it raises. From one task at a time, for good."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def news() -> None:
        if ended.done():
            return
        try:
            if hand_over():
                ended.set_result(None)
        except Exception as error:
            ended.set_exception(error)

    stream.on_news = news
    news()
    await ended
