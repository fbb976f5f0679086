"""Configs are written byte for byte as BuildKit writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.image import config
from croze.image.config import Healthcheck, HistoryEntry, ImageConfig, RootFS, RunConfig
from croze.image.platform import Platform


def test_fields_come_in_gos_order_and_empty_ones_not_at_all() -> None:
    image = ImageConfig(
        architecture="arm",
        os="linux",
        variant="v7",
        created="2020-01-02T03:04:05Z",
        author="me",
        config=RunConfig(
            user="u",
            env=("A=<b>&c",),
            exposed_ports={"80/tcp": {}, "443/tcp": {}},
            labels={"b": "2", "a": "\u2028"},
            healthcheck=Healthcheck(test=("NONE",), interval=5),
            shell=("sh", "-c"),
        ),
        rootfs=RootFS("layers", ("sha256:1",)),
        history=(HistoryEntry(created_by="RUN x", empty_layer=True),),
    )
    assert config.marshal(image) == (
        b'{"created":"2020-01-02T03:04:05Z","author":"me","architecture":"arm","os":"linux",'
        b'"variant":"v7","rootfs":{"type":"layers","diff_ids":["sha256:1"]},'
        b'"history":[{"created_by":"RUN x","empty_layer":true}],'
        b'"config":{"User":"u","ExposedPorts":{"443/tcp":{},"80/tcp":{}},'
        b'"Env":["A=\\u003cb\\u003e\\u0026c"],"Labels":{"a":"\\u2028","b":"2"},'
        b'"Healthcheck":{"Test":["NONE"],"Interval":5},"Shell":["sh","-c"]}}'
    )
    assert config.parse(config.marshal(image)) == image


def test_the_config_of_nothing() -> None:
    assert config.marshal(config.empty(Platform("amd64", "linux"))) == (
        b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null},'
        b'"config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],'
        b'"WorkingDir":"/"}}'
    )
    assert config.empty(Platform("amd64", "windows")).config.env == ()


def test_nulls_and_unknown_members_are_ignored() -> None:
    data = {
        "architecture": "amd64",
        "os": "linux",
        "docker_version": "1",
        "config": {"Cmd": None, "Volumes": None, "Hostname": "x", "Env": ["A=1"]},
        "rootfs": {"type": "layers", "diff_ids": None},
        "history": None,
    }
    image = config.parse(json.dumps(data).encode())
    assert image.config == RunConfig(env=("A=1",))
    assert image.diff_ids == ()


def test_a_bad_config() -> None:
    with pytest.raises(InvalidRequest, match="invalid image config"):
        config.parse(b"{not json")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2020-01-02T03:04:05.120000Z", "2020-01-02T03:04:05.12Z"),
        ("2020-01-02T03:04:05.000Z", "2020-01-02T03:04:05Z"),
        ("2020-01-02T03:04:05+00:00", "2020-01-02T03:04:05Z"),
        ("2020-01-02T03:04:05.123456789Z", "2020-01-02T03:04:05.123456789Z"),
        ("2020-01-02T03:04:05.100+02:00", "2020-01-02T03:04:05.1+02:00"),
    ],
)
def test_times(text: str, normal: str) -> None:
    assert config.normalize_time(text) == normal
    assert config.parse_time(normal).year == 2020


def test_time_values() -> None:
    when = datetime(2020, 1, 2, 3, 4, 5, 600, tzinfo=UTC)
    assert config.parse_time("2020-01-02T03:04:05.0006Z") == when


def test_indented_json() -> None:
    assert gojson.marshal_indent({"b": [], "a": {"x": 1}, "c": {}}) == (
        b'{\n  "a": {\n    "x": 1\n  },\n  "b": [],\n  "c": {}\n}'
    )
    assert gojson.marshal("\x01\b\n\x7fé") == b'"\\u0001\\b\\n\x7f\xc3\xa9"'
