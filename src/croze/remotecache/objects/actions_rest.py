"""GitHub's REST API for Actions caches ("List GitHub Actions caches for a repository")."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import msgspec

from croze.aio.parallel import first_error
from croze.errors import CrozeError
from croze.gotypes import gojson
from croze.remotecache.objects.gha_options import BLOB_PREFIX, GhaOptions
from croze.remotecache.objects.transfer import ObjectRequest, ObjectSender, refused_as

_PAGE = 100
_MOST_PAGES = 1000
_MOST_BYTES = 64 << 20
"""The most that all keys may take in memory."""
_KEY_BYTES = 64
"""What a key takes besides its text."""
_ANSWER_BYTES = 4 << 20


class _Cache(msgspec.Struct, frozen=True):
    key: str = ""


class _Page(msgspec.Struct, frozen=True):
    total_count: int = 0
    actions_caches: list[_Cache] = []


async def all_keys(options: GhaOptions, sender: ObjectSender) -> frozenset[str]:
    """The keys of all blobs in the scopes of the token. Raises `CrozeError`."""
    async with first_error(), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_keys(options, sender, each.scope)) for each in options.token.scopes
        ]
    return frozenset(key for task in tasks for key in task.result())


async def _keys(options: GhaOptions, sender: ObjectSender, ref: str) -> list[str]:
    keys: list[str] = []
    size = 0
    for number in range(1, _MOST_PAGES):
        page = await _page(options, sender, ref, number)
        keys += (each.key for each in page.actions_caches)
        size += sum(len(each.key) + _KEY_BYTES for each in page.actions_caches)
        if size > _MOST_BYTES:
            raise CrozeError(f"GitHub lists more than {_MOST_BYTES} bytes of caches")
        if page.total_count <= number * _PAGE:
            break
    return keys


async def _page(options: GhaOptions, sender: ObjectSender, ref: str, number: int) -> _Page:
    query = {"per_page": _PAGE, "page": number, "key": BLOB_PREFIX} | ({"ref": ref} if ref else {})
    request = ObjectRequest(
        "GET",
        f"{options.rest_url}/repos/{options.repository}/actions/caches?{urlencode(query)}",
        {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {options.rest_token}",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )

    async def prepare() -> ObjectRequest:
        return request

    answer = await sender.ask(prepare, limit_bytes=_ANSWER_BYTES)
    if not answer.ok:
        raise refused_as(answer, f"GitHub answers {answer.status} {answer.reason}")
    try:
        return gojson.unmarshal(answer.body, type=_Page)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise CrozeError(f"invalid answer of GitHub: {err}") from None
