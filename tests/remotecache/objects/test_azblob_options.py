"""Where a container of Azure's is, and what its blobs are called."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.remotecache.objects import azblob_options
from croze.remotecache.objects.azblob_options import AzblobOptions


def parse(**attrs: str) -> AzblobOptions:
    return azblob_options.parse({"account_url": "https://acc.blob.core.windows.net/", **attrs})


def test_what_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    options = parse()
    assert (options.account, options.container, options.names) == (
        "acc",
        "buildkit-cache",
        ("buildkit",),
    )
    assert options.blob_key("sha256:1") == "blobs/sha256:1"
    assert options.config_key("n") == "manifests/n"
    assert options.url("a b/c") == "https://acc.blob.core.windows.net/buildkit-cache/a%20b/c"
    for name, value in {"NAME": "other", "CONTAINER": "c", "PREFIX": "p"}.items():
        monkeypatch.setenv(f"BUILDKIT_AZURE_STORAGE_{'ACCOUNT_' * (name == 'NAME')}{name}", value)
    monkeypatch.setenv("BUILDKIT_AZURE_STORAGE_ACCOUNT_URL", "https://env")
    options = azblob_options.parse({})
    assert (options.account, options.url("b")) == ("other", "https://env/c/b")
    assert options.config_key("n") == "p/manifests/n"
    assert parse(prefix="").config_key("n") == "manifests/n"


def test_names_are_joined_as_paths() -> None:
    options = parse(prefix="//p//", blobs_prefix="./b/../c", manifests_prefix="")
    assert options.blob_key("sha256:1") == "/p/c/sha256:1"
    assert options.config_key("n") == "/p/n"


def test_a_shared_access_signature_stays_in_the_query() -> None:
    options = azblob_options.parse({"account_url": "https://acc.x/?sv=1&sig=secret"})
    assert options.url("k") == "https://acc.x/buildkit-cache/k?sv=1&sig=secret"
    assert "secret" not in repr(options)


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"account_url": "ftp://x"}, "azure storage account url provided is not a valid url"),
        ({"secret_access_key": "%"}, 'decode account key of "acc": illegal base64 data'),
        ({"account_name": ""}, "unable to retrieve account name from account url"),
    ],
)
def test_what_can_not_be(attrs: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse(**attrs)
