"""Users and passwords in URLs are not shown."""

from __future__ import annotations

import json

import pytest

from croze.files.redact import redact, redact_attrs, redact_text

CASES = {
    "https://user:password@host.tld/this:that": "https://xxxxx:xxxxx@host.tld/this:that",
    "https://user@host.tld/this:that": "https://xxxxx@host.tld/this:that",
    "https://:password@host.tld/this:that": "https://:xxxxx@host.tld/this:that",
    "https://user:@host.tld/": "https://xxxxx:xxxxx@host.tld/",
    "https://host.tld/a@b": "https://host.tld/a@b",
    "https://host.tld?mail=a@b": "https://host.tld?mail=a@b",
    "https://us%20er:p@ss:w@host/x#y@z": "https://xxxxx:xxxxx@host/x#y@z",
    "https://to ken@host/x": "https://xxxxx@host/x",
    "ssh://git@host.tld/x.git": "ssh://xxxxx@host.tld/x.git",
    "git@github.com:moby/buildkit.git": "git@github.com:moby/buildkit.git",
    "./a@b": "./a@b",
    "see https://a:b@c": "see https://a:b@c",
    f"oci-layout://id:latest@sha256:{'a' * 64}": f"oci-layout://id:latest@sha256:{'a' * 64}",
}


@pytest.mark.parametrize("url", CASES)
def test_a_url(url: str) -> None:
    assert redact(url) == CASES[url]


def test_what_another_program_says() -> None:
    said = (
        "fatal: unable to access 'https://tok@h.tld/r.git/': no\nsee HTTP://u:p@h and git://h/x@y"
    )
    assert redact_text(said) == (
        "fatal: unable to access 'https://xxxxx@h.tld/r.git/': no\n"
        "see HTTP://xxxxx:xxxxx@h and git://h/x@y"
    )


@pytest.mark.parametrize(
    "name", ["docker-image://busybox@sha256:abc", "oci-layout://id@sha256:abc", "a@b", "http://h/"]
)
def test_digests_are_no_passwords(name: str) -> None:
    assert redact_text(f"[1/2] FROM {name}") == f"[1/2] FROM {name}"


def test_attributes() -> None:
    caches = [
        {"Type": "s3", "Attrs": {"bucket": "b", "secret_access_key": "S", "session_token": "S"}},
        {"Type": "gha", "Attrs": {"token": "S", "ghtoken": "S", "url": "https://u:S@h/"}},
    ]
    text = json.dumps(caches)
    shown = redact_attrs({"cache-imports": text, "context": "https://u:S@h/", "target": "t"})
    assert "S" not in "".join(shown.values())
    assert shown["target"] == "t"
    assert json.loads(shown["cache-imports"])[0]["Attrs"]["bucket"] == "b"
    for odd in (
        "S",
        '{"S":1}',
        "[1]",
        '[{"Attrs":"S"}]',
        '[{"Attrs":{"token":["S"]}}]',
        "[" * 99999,
    ):
        assert "S" not in redact_attrs({"cache-imports": odd})["cache-imports"]
