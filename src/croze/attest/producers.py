"""Who made what others take as an input."""

from __future__ import annotations

from croze.attest.requests import RequestProvenance


class Producers:
    """Requests of all open builds by the digest of the op that their result is."""

    def __init__(self) -> None:
        self._requests: dict[str, list[RequestProvenance]] = {}

    def add(self, head: str, request: RequestProvenance) -> None:
        self._requests.setdefault(head, []).append(request)

    def remove(self, head: str, request: RequestProvenance) -> None:
        """Undo one `add`."""
        requests = self._requests[head]
        requests.remove(request)
        if not requests:
            del self._requests[head]

    def find(self, head: str) -> RequestProvenance | None:
        """The request that the result came from; None if that is not known for sure."""
        requests = [each.alone() for each in self._requests.get(head, ())]
        return requests[0] if requests and all(each == requests[0] for each in requests) else None
