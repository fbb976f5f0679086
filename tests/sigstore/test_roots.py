"""Trusted roots: a file that is named, and a TUF repository's, with a network and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from croze.errors import CrozeError, InvalidRequest, Unavailable
from croze.sigstore import roots as module
from croze.sigstore.environment import TRUSTED_ROOT
from croze.sigstore.roots import FileRoot, PublicRoot
from tests.support.sigstore import Instance
from tests.support.tuf_repository import TufRepository
from tests.support.web_server import answering

TARGET = "trusted_root.json"


@dataclass
class Web:
    """What a server has; `down`: it fails for everything."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            data = made.files.get(self.path.removeprefix("/"))
            status = 500 if made.down else 404 if data is None else 200
            self.send_response(status)
            body = data if status == 200 and data is not None else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with answering(Handler) as made.url:
        yield made


def trusted(name: str = "one") -> bytes:
    return json.dumps(Instance(name=name).trusted_root()).encode()


def name_of(found: module.Roots) -> str:
    (authority,) = found.load().authorities
    return authority.intermediates[0].subject.rfc4514_string()


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / TARGET).write_bytes(trusted("mine"))
    assert "CN=mine" in name_of(FileRoot(tmp_path / TARGET))
    for data, message in ((b"{}", "media type"), (b"[", "can't be read"), (None, "no such file")):
        (tmp_path / TARGET).unlink(missing_ok=True)
        if data is not None:
            (tmp_path / TARGET).write_bytes(data)
        with pytest.raises(InvalidRequest, match=message) as refused:
            FileRoot(tmp_path / TARGET).load()
        assert TARGET in str(refused.value)


def test_a_repository(tmp_path: Path, web: Web) -> None:
    repository = TufRepository({TARGET: trusted("one")})
    web.files = repository.files()
    root = PublicRoot(tmp_path / "state", web.url, repository.root)
    assert "CN=one" in name_of(root)
    asked = len(web.asked)
    assert "CN=one" in name_of(root)
    assert len(web.asked) == asked, "once is enough for a while"
    repository.version, repository.targets = 2, {TARGET: trusted("two")}
    web.files = repository.files()
    later = PublicRoot(tmp_path / "state", web.url, repository.root)
    assert "CN=two" in name_of(later)
    web.down = True
    offline = PublicRoot(tmp_path / "state", web.url, repository.root)
    assert "CN=two" in name_of(offline), "what was fetched last is good for days"


def test_an_anchor_that_has_expired_leads_to_newer_ones(tmp_path: Path, web: Web) -> None:
    """Packages grow old; the keys in them have signed what came after."""
    repository = TufRepository({TARGET: trusted("one")}, anchor_good_for=timedelta(days=-9))
    web.files = repository.files()
    assert "CN=one" in name_of(PublicRoot(tmp_path / "state", web.url, repository.root))
    web.down = True
    assert "CN=one" in name_of(PublicRoot(tmp_path / "state", web.url, repository.root))
    del web.files["2.root.json"]
    web.down = False
    with pytest.raises(Unavailable, match="expired"):
        PublicRoot(tmp_path / "other", web.url, repository.root).load()


def test_what_has_expired_is_not_trusted(tmp_path: Path, web: Web) -> None:
    """Whoever keeps the network from us must not keep us at an old root for ever."""
    repository = TufRepository({TARGET: trusted()}, good_for=timedelta(seconds=-1))
    web.files = repository.files()
    with pytest.raises(Unavailable, match="expired"):
        PublicRoot(tmp_path / "state", web.url, repository.root).load()
    web.down = True
    with pytest.raises(Unavailable, match=TRUSTED_ROOT):
        PublicRoot(tmp_path / "state", web.url, repository.root).load()


def test_other_peoples_repositories(tmp_path: Path, web: Web) -> None:
    repository, other = TufRepository({TARGET: trusted()}), TufRepository({TARGET: trusted()})
    web.files = other.files()
    with pytest.raises(CrozeError, match="getting trusted root"):
        PublicRoot(tmp_path / "state", web.url, repository.root).load()
    web.files = repository.files()
    for path in list(web.files):
        if path.startswith("targets/"):
            web.files[path] = trusted("another")
    with pytest.raises(CrozeError, match="getting trusted root"):
        PublicRoot(tmp_path / "state", web.url, repository.root).load()
    web.files["timestamp.json"] = b"x" * (1 << 20)
    with pytest.raises(CrozeError, match="getting trusted root"):
        PublicRoot(tmp_path / "other", web.url, repository.root).load()


def test_what_is_kept_must_be_good_too(tmp_path: Path, web: Web) -> None:
    repository = TufRepository({TARGET: trusted()})
    web.files = repository.files()
    PublicRoot(tmp_path / "state", web.url, repository.root).load()
    web.down = True
    (stored,) = (tmp_path / "state" / "targets").iterdir()
    stored.write_bytes(trusted("another"))
    with pytest.raises(CrozeError, match="getting trusted root"):
        PublicRoot(tmp_path / "state", web.url, repository.root).load()


def test_the_public_instances_own_is_known() -> None:
    """The root that comes with the package is one that its keys signed."""
    from importlib import resources

    from tuf.api.metadata import Metadata, Root

    data = resources.files("croze.sigstore").joinpath("instance/root.json").read_bytes()
    found: Metadata[Root] = Metadata.from_bytes(data)
    found.verify_delegate("root", found)
