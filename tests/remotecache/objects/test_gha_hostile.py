"""Services that answer without end."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import cast

import pytest

from croze.errors import AlreadyExists, CrozeError
from croze.remotecache.objects import actions_rest
from croze.remotecache.objects.actions_api import ActionsApi
from croze.remotecache.objects.gha import GhaCache, IndexPatience
from croze.remotecache.objects.gha_signatures import Signatures
from croze.remotecache.objects.transfer import ObjectAnswer, ObjectSender
from tests.remotecache.objects.gha_caches import SCOPES, options
from tests.support.actions_cache import Service
from tests.support.waiting import PATIENCE_S


async def test_a_list_of_caches() -> None:
    """What is kept of it is bounded."""
    pages = 0
    page = {"total_count": 1 << 40, "actions_caches": [{"key": "k" * 1_000_000}] * 3}
    answer = ObjectAnswer(200, "OK", {}, json.dumps(page).encode())

    async def ask(*_: object, **__: object) -> ObjectAnswer:
        nonlocal pages
        pages += 1
        return answer

    sender = cast(ObjectSender, SimpleNamespace(ask=ask))
    asked = options("http://127.0.0.1:1", Service().token(SCOPES[0]), 2)
    with pytest.raises(CrozeError, match=r"^GitHub lists more than \d+ bytes of caches$"):
        await actions_rest.all_keys(asked, sender)
    assert pages < 30 * 3


async def test_numbers_that_are_all_taken() -> None:
    asked = 0

    async def find(key: str) -> None:
        return None

    async def reserve(key: str) -> None:
        nonlocal asked
        asked += 1
        assert asked < 10_000
        raise AlreadyExists("taken")

    api = cast(ActionsApi, SimpleNamespace(find=find, reserve=reserve))
    asked_for = options("http://127.0.0.1:1", Service().token(SCOPES[0]), 2)
    patience = IndexPatience(most_s=-1, pause_s=0.001)
    cache = GhaCache(asked_for, api, cast(Signatures, None), patience)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(AlreadyExists):
            await cache._reserved("key")
