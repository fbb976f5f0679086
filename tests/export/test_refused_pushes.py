"""Pushes that a registry refuses."""

from __future__ import annotations

import re

import pytest
from aiohttp import web

from croze.errors import CrozeError
from tests.export.results import export, make_ref, single
from tests.registry.servers import serve
from tests.sources.rig import Rig

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"errors": [{"code": "DENIED", "message": "full", "detail": "5 GB"}]},
            "denied: full - 5 GB",
        ),
        ({"details": "come back"}, "unexpected status from POST request to .*: come back"),
    ],
)
async def test_a_push_that_is_refused(rig: Rig, body: dict[str, object], said: str) -> None:
    """What is told is what the registry says, as by BuildKit."""

    async def refuse(request: web.Request) -> web.Response:
        is_asked = request.method == "HEAD"
        return web.json_response(body, status=404 if is_asked else 413)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    ref = await make_ref(rig, {"a": "one"})
    async with serve(app) as address:
        with pytest.raises(CrozeError) as caught:
            await export(rig, "image", {"name": f"{address}/x", "push": "true"}, single(ref))
    assert re.fullmatch(f"failed to push {address}/x: {said}", str(caught.value))
    await ref.release()
