"""The tar of a node's settings, with the cases of buildx's own tests."""

from __future__ import annotations

import io
import tarfile

import pytest

from croze.drivers.config_archive import archive
from croze.errors import InvalidRequest


def test_files_lie_in_the_archive_with_their_directories() -> None:
    files = {"buildkitd.toml": b"debug = true\n", "certs/example.com/ca.pem": b"certificate"}
    with tarfile.open(fileobj=io.BytesIO(archive(files))) as tar:
        members = tar.getmembers()
        assert [(m.name, m.isdir(), m.mode, m.uid, m.gid, m.uname) for m in members] == [
            ("buildkit", True, 0o755, 0, 0, ""),
            ("buildkit/certs", True, 0o755, 0, 0, ""),
            ("buildkit/certs/example.com", True, 0o755, 0, 0, ""),
            ("buildkit/buildkitd.toml", False, 0o644, 0, 0, ""),
            ("buildkit/certs/example.com/ca.pem", False, 0o644, 0, 0, ""),
        ]
        found = tar.extractfile("buildkit/certs/example.com/ca.pem")
        assert found is not None
        assert found.read() == b"certificate"


def test_no_files_make_an_empty_archive() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive({}))) as tar:
        assert tar.getmembers() == []


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "./buildkitd.toml", "../buildkitd.toml", "/buildkitd.toml", "certs/"),
        *("certs/../ca.pem", "certs/./ca.pem", "certs//ca.pem", "certs\\ca.pem", "certs/ca\0.pem"),
    ],
)
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid config file path"):
        archive({name: b"x"})


def test_a_file_where_a_directory_is() -> None:
    with pytest.raises(InvalidRequest, match='"certs" conflicts with directory'):
        archive({"certs": b"x", "certs/ca.pem": b"x"})
