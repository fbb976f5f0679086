"""Where a trusted root comes from: a file that is named, or the public instance's by TUF.

The public instance publishes its root as a TUF repository (https://theupdateframework.io): what is
fetched is signed by keys that the package knows (`instance/root.json`, from the Sigstore project),
kept below a directory of ours, and good offline until it expires, which is a few days. Without a
network for longer, name a `trusted_root.json`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from croze.errors import CrozeError, InvalidRequest, Unavailable, os_message
from croze.files.locks import locked
from croze.files.own import own_dir
from croze.sigstore import trust
from croze.sigstore.environment import TRUSTED_ROOT
from croze.sigstore.reading import MOST_BYTES
from croze.sigstore.trust import TrustedRoot

if TYPE_CHECKING:
    from tuf.ngclient.fetcher import FetcherInterface

REPOSITORY = "https://tuf-repo-cdn.sigstore.dev"
_TARGET = "trusted_root.json"
_FRESH_S = 3600.0
_AGAIN_S = 60.0
_REQUEST_S, _TOGETHER_S = 5.0, 15.0
_MOST_METADATA_BYTES = 8 << 20


class Roots(Protocol):
    """Gives the trusted root. Blocks. Raises `CrozeError` if there is none that may be trusted."""

    def load(self) -> TrustedRoot:
        """The trusted root. May ask the network for it."""


class FileRoot:
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> TrustedRoot:
        try:
            with self._path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise InvalidRequest(f"{TRUSTED_ROOT}: {os_message(error)}") from None
        try:
            return trust.parse(data)
        except CrozeError as error:
            raise InvalidRequest(f"{TRUSTED_ROOT}: {self._path}: {error}") from None


class PublicRoot:
    """The public instance's root. Asked for anew each hour; when that fails, what was fetched last
    counts while it is good."""

    def __init__(self, state: Path, repository: str = REPOSITORY, anchor: bytes = b"") -> None:
        """`state` is a directory of this user's, made if it is missing. An `anchor` is a TUF root
        to trust in place of the one that comes with Croze; tests have a `repository` of their
        own."""
        self._state, self._repository, self._anchor = state, repository, anchor
        self._lock = threading.Lock()
        self._known: TrustedRoot | None = None
        self._until = 0.0

    def load(self) -> TrustedRoot:
        with self._lock:
            if self._known is None or time.monotonic() > self._until:
                self._known = None
                self._known, good_s = self._fetched()
                self._until = time.monotonic() + good_s
            return self._known

    def _fetched(self) -> tuple[TrustedRoot, float]:
        try:
            own_dir(str(self._state))
            with locked(str(self._state / ".lock")):
                try:
                    return self._update(_web(self._repository, self._state)), _FRESH_S
                except CrozeError as error:
                    online = error
                try:
                    return self._update(_kept(self._state)), _AGAIN_S
                except CrozeError:
                    raise online from None
        except OSError as error:
            raise Unavailable(f"getting trusted root: {os_message(error)}") from None

    def _update(self, fetcher: FetcherInterface) -> TrustedRoot:
        from tuf.api.exceptions import DownloadError, RepositoryError
        from tuf.ngclient.config import UpdaterConfig
        from tuf.ngclient.updater import Updater

        anchor = self._anchor or (
            resources.files("croze.sigstore").joinpath("instance/root.json").read_bytes()
        )
        try:
            updater = Updater(
                str(self._state),
                self._repository,
                str(self._state / "targets"),
                f"{self._repository}/targets/",
                fetcher,
                UpdaterConfig(),
                bootstrap=anchor,
            )
            info = updater.get_targetinfo(_TARGET)
            if info is None:
                raise Unavailable(f"getting trusted root: {self._repository} has no {_TARGET}")
            if info.length > MOST_BYTES:
                raise Unavailable(f"getting trusted root: {_TARGET} is too large")
            path = updater.find_cached_target(info) or updater.download_target(info)
        except (DownloadError, RepositoryError, ValueError) as error:
            cause = error.__cause__ or error
            raise Unavailable(
                f"getting trusted root of {self._repository}: {cause} (without a network, name a "
                f"{_TARGET} in {TRUSTED_ROOT})"
            ) from None
        return trust.parse(Path(path).read_bytes())


def _web(repository: str, state: Path) -> FetcherInterface:
    """What the repository says now."""
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient.fetcher import FetcherInterface

    from croze.http.client import fetch

    ends = time.monotonic() + _TOGETHER_S

    class Web(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            remaining_s = min(_REQUEST_S, ends - time.monotonic())
            if remaining_s <= 0:
                raise Unavailable(f"{repository} takes too long")
            answer = fetch(url, limit_bytes=_MOST_METADATA_BYTES, timeout_s=remaining_s)
            if answer.status != 200:
                raise DownloadHTTPError(f"{url}: {answer.status} {answer.reason}", answer.status)
            return iter((answer.body,))

    return Web()


def _kept(state: Path) -> FetcherInterface:
    """What it said last."""
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient.fetcher import FetcherInterface

    class Kept(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            path = state / "timestamp.json"
            if not url.endswith("/timestamp.json") or not path.exists():
                raise DownloadHTTPError(f"{url} was not kept", 404)
            return iter((path.read_bytes(),))

    return Kept()
