"""Answers as Docker gives them: JSON, errors too, and headers that say who speaks."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from croze.errors import (
    AlreadyExists,
    CrozeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    Unavailable,
    Unsupported,
)
from croze.version import VERSION

API_VERSION = "1.51"
MIN_API_VERSION = "1.22"
"""What skopeo has spoken for years."""
HEADERS = {
    "Api-Version": API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"croze/{VERSION} ({platform.system().lower()})",
}
STATUS: Mapping[type[CrozeError], int] = {
    InvalidRequest: 400,
    PermissionDenied: 403,
    NotFound: 404,
    AlreadyExists: 409,
    Unsupported: 501,
    Unavailable: 503,
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json(value: object, status: int = 200) -> web.Response:
    """An answer with any JSON value, and a line's end, as Go's encoder writes."""
    body = msgspec.json.encode(value) + b"\n"
    return web.Response(body=body, status=status, headers=HEADERS, content_type="application/json")


def error(message: str, status: int) -> web.Response:
    return json({"message": message}, status)


def of_error(raised: CrozeError) -> web.Response:
    """An error in Docker's form; its status is by its kind."""
    statuses = (status for kind, status in STATUS.items() if isinstance(raised, kind))
    return error(str(raised), next(statuses, 500))


def check_version(version: str) -> None:
    """See that a version of the API is spoken here. Raises `InvalidRequest` in Docker's words."""
    if _numbers(version) < _numbers(MIN_API_VERSION):
        raise InvalidRequest(
            f"client version {version} is too old. Minimum supported API version is "
            f"{MIN_API_VERSION}, please upgrade your client to a newer version"
        )
    if _numbers(version) > _numbers(API_VERSION):
        raise InvalidRequest(
            f"client version {version} is too new. Maximum supported API version is {API_VERSION}"
        )


def at_least(request: web.Request, version: str) -> bool:
    """Whether the client speaks that version of the API, or a later one."""
    return _numbers(request.match_info.get("version", API_VERSION)) >= _numbers(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)
