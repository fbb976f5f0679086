"""The policies of garbage collection, as BuildKit has them on a disk of 100 GiB."""

from __future__ import annotations

from croze.daemon.config.sizes import DiskSpace, Duration
from croze.daemon.config.toml import GcPolicy, OciWorker
from croze.daemon.worker.gc_policies import policies

DISK_BYTES = 100 * 2**30


def test_without_settings_there_are_buildkits_four_policies() -> None:
    made = policies(OciWorker(), DISK_BYTES)
    assert made[0].keep_duration_s == 48 * 3600
    assert [p.all for p in made] == [False, False, False, True]
    assert made[2].reserved_space == 10 * 10**9
    assert made[2].min_free_space == 21 * 10**9
    assert made[2].max_used_space == 81 * 10**9
    big = policies(OciWorker(), 100 * DISK_BYTES)
    assert (big[2].reserved_space, big[2].max_used_space) == (10 * 10**9, 100 * 10**9)


def test_limits_of_the_settings_go_into_the_last_policy() -> None:
    limited = OciWorker(max_used_space=DiskSpace(7), gckeepstorage=DiskSpace(9))
    assert policies(limited, DISK_BYTES)[3].reserved_space == 0
    assert policies(limited, DISK_BYTES)[3].max_used_space == 7
    old = policies(OciWorker(gckeepstorage=DiskSpace(9)), DISK_BYTES)
    assert (old[3].reserved_space, old[3].max_used_space) == (9, 0)


def test_own_policies_and_none() -> None:
    policy = GcPolicy(all=True, keep_duration=Duration(5), keep_bytes=DiskSpace(percent=20))
    (made,) = policies(OciWorker(gcpolicy=[policy]), DISK_BYTES)
    assert (made.all, made.keep_duration_s, made.reserved_space) == (True, 5, 21 * 10**9)
    assert policies(OciWorker(gc=False), DISK_BYTES) == []
