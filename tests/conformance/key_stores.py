"""What every `KeyStore` must do. Subclass with a `keys` fixture."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from croze.cachekeys.contract import FEW, KeyLink, KeyStore, StoredResult

T0 = datetime(2024, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
LINK = KeyLink(0, 0, "sha256:op", "sel")


class KeyStoreSuite:
    """The contract as tests."""

    def test_links_lead_one_way_and_are_told_apart(self, keys: KeyStore) -> None:
        keys.add_link("a", LINK, "t1")
        keys.add_link("a", LINK, "t1")
        keys.add_link("a", LINK, "t2")
        assert sorted(keys.targets("a", LINK)) == ["t1", "t2"]
        assert keys.targets("t1", LINK) == ()
        for other in (
            KeyLink(1, 0, "sha256:op", "sel"),
            KeyLink(0, 1, "sha256:op", "sel"),
            KeyLink(0, 0, "sha256:no", "sel"),
            KeyLink(0, 0, "sha256:op", ""),
        ):
            assert keys.targets("a", other) == ()
        assert keys.links_into("t2") == (("a", LINK),)
        assert keys.exists("a")
        assert keys.exists("t1")
        assert not keys.exists("b")

    @pytest.mark.parametrize("source", ["a", "random:a"])
    def test_many_targets_are_not_listed(self, keys: KeyStore, source: str) -> None:
        for number in range(FEW):
            keys.add_link(source, LINK, f"t{number}")
        assert len(keys.few_targets(source, LINK) or ()) == FEW
        keys.add_link(source, LINK, "one more")
        assert keys.few_targets(source, LINK) is None
        assert len(keys.targets(source, LINK)) == FEW + 1
        assert keys.leads(source, LINK, "one more")
        assert not keys.leads(source, LINK, "another")
        assert keys.few_targets("b", LINK) == ()

    def test_all_that_is_known(self, keys: KeyStore) -> None:
        keys.add_link("a", LINK, "t")
        keys.add_link("random:r", LINK, "t")
        keys.add_result("k", StoredResult("r1", T0))
        assert {"a", "random:r", "k"} <= set(keys.key_ids())
        assert sorted(keys.links()) == [("a", LINK, "t"), ("random:r", LINK, "t")]

    def test_results_newest_first(self, keys: KeyStore) -> None:
        old, new = StoredResult("r1", T0), StoredResult("r2", T0 + timedelta(microseconds=1))
        keys.add_result("k", new)
        keys.add_result("k", old)
        keys.add_result("k", old)
        assert list(keys.results("k")) == [new, old]
        assert list(keys.results("other")) == []
        assert keys.exists("k")

    def test_release_forgets_what_leads_nowhere(self, keys: KeyStore) -> None:
        keys.add_link("root", LINK, "mid")
        keys.add_link("mid", LINK, "top")
        keys.add_link("side", LINK, "top")
        keys.add_result("root", StoredResult("r0", T0))
        keys.add_result("top", StoredResult("r1", T0))
        keys.release_result("r1")
        assert not keys.exists("top")
        assert not keys.exists("mid")
        assert not keys.exists("side")
        assert keys.exists("root")
        keys.release_result("unknown")

    def test_release_keeps_the_way_to_other_results(self, keys: KeyStore) -> None:
        keys.add_link("root", LINK, "mid")
        keys.add_link("mid", LINK, "top")
        keys.add_result("mid", StoredResult("r1", T0))
        keys.add_result("top", StoredResult("r2", T0))
        keys.release_result("r1")
        assert keys.targets("root", LINK) == ("mid",)
        assert list(keys.results("mid")) == []

    def test_random_keys_are_keys_too(self, keys: KeyStore) -> None:
        keys.add_link("random:a", LINK, "t")
        keys.add_result("random:a", StoredResult("r", T0))
        assert keys.exists("random:a")
        assert keys.targets("random:a", LINK) == ("t",)
        assert keys.targets("random:b", LINK) == ()
        assert list(keys.results("random:a")) == [StoredResult("r", T0)]
        keys.release_result("r")
        assert list(keys.results("random:a")) == []
