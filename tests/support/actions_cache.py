"""GitHub's Actions cache as a server of our own: both versions of its API, and the storage behind.

Tokens are JWTs that it signs and verifies; scopes are kept apart, written and read as a token's
claims allow; blob URLs are signed and expire. Nothing of it is Croze's: it knows the protocol as
actions/toolkit speaks it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import re
import threading
import time  # tokens and URLs expire
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

from croze.http.urls import parse_url
from tests.support.web_server import answering

READ, WRITE = 1, 2
_SERVICE = "/twirp/github.actions.results.api.v1.CacheService/"


@dataclass
class Entry:
    """One that was reserved; found once it is committed."""

    id: int
    scope: str
    key: str
    version: str
    data: bytes | None = None
    chunks: dict[int, bytes] = field(default_factory=dict)
    blocks: dict[str, bytes] = field(default_factory=dict)
    committed: bool = False


@dataclass
class Fault:
    """What the next request whose line has `part` in it gets instead of an answer."""

    part: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass
class Service:
    """The state behind the server. `seen`: `METHOD path` of all requests, without queries."""

    secret: bytes = b"the service's own"
    url: str = ""
    entries: list[Entry] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    url_life_s: float = 3600.0
    lock: threading.RLock = field(default_factory=threading.RLock)

    # -- tokens ------------------------------------------------------------------------------

    def token(self, *scopes: tuple[str, int], begins_s: float = -60, ends_s: float = 3600) -> str:
        """A token for scopes and what they allow."""
        access = [{"Scope": name, "Permission": allowed} for name, allowed in scopes]
        now = time.time()
        claims = {
            "ac": json.dumps(access),
            "nbf": int(now + begins_s),
            "exp": int(now + ends_s),
            "aud": "test",
        }
        parts = [_b64(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims)]
        text = ".".join(parts)
        return f"{text}.{_b64(self._mac(text))}"

    def access(self, header: str) -> list[tuple[str, int]] | None:
        """What the bearer may do; None for whom we don't know."""
        text, _, signature = header.removeprefix("Bearer ").rpartition(".")
        if not text or not hmac.compare_digest(signature, _b64(self._mac(text))):
            return None
        claims = json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))
        if not claims["nbf"] <= time.time() <= claims["exp"]:
            return None
        return [(each["Scope"], each["Permission"]) for each in json.loads(claims["ac"])]

    def _mac(self, text: str) -> bytes:
        return hmac.new(self.secret, text.encode(), hashlib.sha256).digest()

    # -- entries -----------------------------------------------------------------------------

    def find(
        self, access: Sequence[tuple[str, int]], keys: Sequence[str], version: str
    ) -> Entry | None:
        """In the order of the scopes; of each key the very same, or the newest that begins so."""
        with self.lock:
            for scope, allowed in access:
                here = [
                    each
                    for each in self.entries
                    if each.committed
                    and each.scope == scope
                    and each.version == version
                    and allowed & READ
                ]
                for key in keys:
                    same = [each for each in here if each.key == key]
                    begins = [each for each in here if each.key.startswith(key)]
                    if found := same or begins:
                        return found[-1]
        return None

    def reserve(self, access: Sequence[tuple[str, int]], key: str, version: str) -> Entry | int:
        """A new entry, or the status of the refusal."""
        scope = next((name for name, allowed in reversed(access) if allowed & WRITE), None)
        if scope is None:
            return 403
        with self.lock:
            reserved = (each for each in self.entries if (each.scope, each.key) == (scope, key))
            if any(each.version == version for each in reserved):
                return 409
            made = Entry(len(self.entries) + 1, scope, key, version)
            self.entries.append(made)
            return made

    def keys(self, scope: str | None = None) -> list[str]:
        """Of what is committed."""
        with self.lock:
            return [e.key for e in self.entries if e.committed and scope in (None, e.scope)]

    def signed(self, entry: Entry, allowed: str) -> str:
        """A URL for the entry's blob."""
        said = {"id": str(entry.id), "sp": allowed, "se": str(time.time() + self.url_life_s)}
        return f"{self.url}/blobs/{entry.id}?{urlencode(said | {'sig': self._signature(said)})}"

    def blob(self, target: str, allowed: str) -> Entry | None:
        """The entry that a signed URL is for; None if it is not good, or no longer."""
        said = dict(parse_qsl(parse_url(target).query))
        if not hmac.compare_digest(said.get("sig", ""), self._signature(said)):
            return None
        if allowed not in said["sp"] or float(said["se"]) < time.time():
            return None
        return self.entries[int(said["id"]) - 1]

    def _signature(self, said: Mapping[str, str]) -> str:
        return _b64(self._mac("&".join(said.get(name, "") for name in ("id", "sp", "se"))))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    service: Service
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Nothing on stderr."""

    def _any(self) -> None:
        service = self.service
        body = self._body()
        line = f"{self.command} {parse_url(self.path).path}"
        with service.lock:
            service.seen.append(line)
            fault = next((f for f in service.faults if f.part in f"{line} {self.path}"), None)
            if fault is not None:
                service.faults.remove(fault)
        if fault is not None:
            return self._answer(fault.status, fault.body, fault.headers)
        path = parse_url(self.path).path
        if path.startswith("/blobs/"):
            return self._blob(body)
        if path.startswith("/repos/"):
            return self._rest()
        access = service.access(self.headers.get("Authorization", ""))
        if access is None:
            return self._json(401, {"message": "not authorized"})
        if path.startswith(_SERVICE):
            return self._second(path.removeprefix(_SERVICE), access, json.loads(body))
        return self._first(path.removeprefix("/_apis/artifactcache/"), access, body)

    def handle(self) -> None:
        """Clients may hang up when they have what they wanted."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def _body(self) -> bytes:
        """Of a known length, or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _any

    # -- version 1 ---------------------------------------------------------------------------

    def _first(self, path: str, access: list[tuple[str, int]], body: bytes) -> None:
        if path == "cache":
            query = parse_qs(parse_url(self.path).query)
            keys = query["keys"][0].split(",")
            entry = self.service.find(access, keys, query["version"][0])
            if entry is None:
                return self._answer(204, b"")
            found = {"cacheKey": entry.key, "scope": entry.scope}
            return self._json(200, found | {"archiveLocation": self.service.signed(entry, "r")})
        if path == "caches":
            asked = json.loads(body)
            made = self.service.reserve(access, asked["key"], asked["version"])
            if made == 409:
                kind = "ArtifactCacheItemAlreadyExistsException"
                said = {"message": f"Cache already exists. Key: {asked['key']}", "typeKey": kind}
                return self._json(409, said)
            if isinstance(made, int):
                return self._json(made, {"message": "no write access"})
            return self._json(201, {"cacheId": made.id})
        return self._upload(int(path.removeprefix("caches/")), access, body)

    def _upload(self, id: int, access: list[tuple[str, int]], body: bytes) -> None:
        entry = self.service.entries[id - 1]
        if not any(name == entry.scope and allowed & WRITE for name, allowed in access):
            return self._json(403, {"message": "no write access"})
        if self.command == "PATCH":
            said = re.fullmatch(r"bytes (\d+)-(\d+)/\*", self.headers["Content-Range"])
            assert said is not None
            if int(said[2]) - int(said[1]) + 1 != len(body):
                return self._json(400, {"message": "the range is not that of the body"})
            with self.service.lock:
                entry.chunks[int(said[1])] = body
            return self._answer(204, b"")
        data = b"".join(entry.chunks[start] for start in sorted(entry.chunks))
        if len(data) != json.loads(body)["size"]:
            return self._json(400, {"message": "the size is not that of the chunks"})
        entry.data, entry.committed = data, True
        return self._answer(204, b"")

    # -- version 2 ---------------------------------------------------------------------------

    def _second(self, method: str, access: list[tuple[str, int]], asked: dict[str, Any]) -> None:
        service = self.service
        if method == "GetCacheEntryDownloadURL":
            keys = [asked["key"], *asked.get("restore_keys", [])]
            entry = service.find(access, keys, asked["version"])
            if entry is None:
                return self._json(200, {"ok": False})
            url = service.signed(entry, "r")
            return self._json(
                200, {"ok": True, "signed_download_url": url, "matched_key": entry.key}
            )
        if method == "CreateCacheEntry":
            made = service.reserve(access, asked["key"], asked["version"])
            if made == 409:
                said = "cache entry with the same key, version, and scope already exists"
                return self._json(409, {"code": "already_exists", "msg": said})
            if isinstance(made, int):
                said = "token does not have write access"
                return self._json(made, {"code": "permission_denied", "msg": said})
            return self._json(200, {"ok": True, "signed_upload_url": service.signed(made, "rcw")})
        with service.lock:
            mine = [e for e in service.entries if e.key == asked["key"] and e.data is not None]
            entry = mine[-1] if mine else None
            if entry is None or len(entry.data or b"") != int(asked["size_bytes"]):
                return self._json(400, {"code": "invalid_argument", "msg": "wrong size"})
            entry.committed = True
        return self._json(200, {"ok": True, "entry_id": str(entry.id)})

    # -- Azure's storage ---------------------------------------------------------------------

    def _blob(self, body: bytes) -> None:
        writes = self.command == "PUT"
        entry = self.service.blob(self.path, "w" if writes else "r")
        if entry is None:
            return self._answer(403, b"", {"x-ms-error-code": "AuthenticationFailed"})
        if writes:
            return self._put(entry, body)
        data = entry.data or b""
        asked = self.headers.get("x-ms-range") or self.headers.get("Range") or ""
        start = re.match(r"bytes=(\d+)-", asked)
        if start is None or start[1] == "0":
            return self._answer(200, data)
        first = int(start[1])
        told = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        return self._answer(206, data[first:], told)

    def _put(self, entry: Entry, body: bytes) -> None:
        query = dict(parse_qsl(parse_url(self.path).query))
        with self.service.lock:
            if query.get("comp") == "block":
                entry.blocks[query["blockid"]] = body
            elif query.get("comp") == "blocklist":
                ids = re.findall(r"<Latest>([^<]*)</Latest>", body.decode())
                if any(id not in entry.blocks for id in ids):
                    told = {"x-ms-error-code": "InvalidBlockList"}
                    return self._answer(400, b"", told)
                entry.data = b"".join(entry.blocks[id] for id in ids)
            elif self.headers.get("x-ms-blob-type") == "BlockBlob":
                entry.data = body
            else:
                return self._answer(400, b"", {"x-ms-error-code": "MissingRequiredHeader"})
        return self._answer(201, b"", {"x-ms-request-id": "1", "ETag": '"1"'})

    # -- GitHub's REST API -------------------------------------------------------------------

    def _rest(self) -> None:
        if self.headers.get("Authorization") != "Bearer rest-token":
            return self._json(401, {"message": "Bad credentials"})
        query = parse_qs(parse_url(self.path).query)
        keys = [
            key
            for key in self.service.keys(query.get("ref", [None])[0])
            if key.startswith(query["key"][0])
        ]
        start = (int(query["page"][0]) - 1) * 100
        page = [{"key": key} for key in keys[start : start + 100]]
        return self._json(200, {"total_count": len(keys), "actions_caches": page})

    def _json(self, status: int, body: Mapping[str, object]) -> None:
        self._answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        with contextlib.suppress(OSError):
            self._send(status, body, headers or {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextlib.contextmanager
def actions_cache() -> Iterator[Service]:
    """A service of one's own on loopback."""
    service = Service()
    with answering(type("Handler", (_Handler,), {"service": service})) as service.url:
        yield service
