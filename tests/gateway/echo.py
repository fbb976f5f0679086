"""A frontend that asks others."""

from __future__ import annotations

from croze.gateway.contract import Bridge
from croze.gateway.requests import BridgeRequest, FrontendRequest
from croze.gateway.results import BridgeResult


class Echo:
    """A frontend that asks another one, and tells what it was asked."""

    async def build(self, request: FrontendRequest, bridge: Bridge) -> BridgeResult:
        if "inner" in request.opts:
            opts = {"from": "outer"}
            return await bridge.solve(BridgeRequest(frontend="echo", opts=opts))
        metadata = {key: value.encode() for key, value in request.opts.items()}
        return BridgeResult(metadata={**metadata, "session": request.session.encode()})
