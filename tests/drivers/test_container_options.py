"""Driver options of `docker-container`, as buildx reads them."""

from __future__ import annotations

import pytest

from croze.drivers.container_options import ContainerOptions, parse_options
from croze.errors import InvalidRequest

UNLESS_STOPPED = {"Name": "unless-stopped", "MaximumRetryCount": 0}


@pytest.mark.parametrize(
    ("texts", "made"),
    [
        ({}, ContainerOptions(restart_policy=UNLESS_STOPPED)),
        (
            {
                "image": "i",
                "network": "host",
                "cgroup-parent": "/c",
                "default-load": "1",
                "provenance-add-gha": "f",
                "allow-untrusted-image": "true",
                "restart-policy": "on-failure:3",
            },
            ContainerOptions(
                image="i",
                network="host",
                cgroup_parent="/c",
                default_load=True,
                provenance_gha=False,
                allow_untrusted_image=True,
                restart_policy={"Name": "on-failure", "MaximumRetryCount": 3},
            ),
        ),
        (
            {
                "memory": "1.5g",
                "memory-swap": "-1",
                "cpu-period": "50000",
                "cpu-quota": "-1",
                "cpu-shares": "0",
                "cpuset-cpus": "0-1",
                "cpuset-mems": "",
            },
            ContainerOptions(
                restart_policy=UNLESS_STOPPED,
                limits={
                    "Memory": 3 << 29,
                    "MemorySwap": -1,
                    "CpuPeriod": 50000,
                    "CpuQuota": -1,
                    "CpusetCpus": "0-1",
                },
            ),
        ),
        (
            {"env.A": "1", "env.B": "x=y"},
            ContainerOptions(restart_policy=UNLESS_STOPPED, env=("A=1", "B=x=y")),
        ),
    ],
)
def test_options_are_read_as_buildx_does(texts: dict[str, str], made: ContainerOptions) -> None:
    assert parse_options(texts) == made


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("nope", "1", "invalid driver option nope for docker-container driver"),
        ("env.", "1", 'invalid env option "env.", expecting env.FOO=bar'),
        ("memory", "lots", "invalid size: 'lots'"),
        ("memory", "1x", "invalid suffix: 'x'"),
        ("memory", "-1", "invalid size: '-1'"),
        ("memory", "1.2.3k", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
        ("cpu-period", "x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("default-load", "x", 'strconv.ParseBool: parsing "x": invalid syntax'),
        ("provenance-add-gha", "", 'strconv.ParseBool: parsing "": invalid syntax'),
        (
            "restart-policy",
            ":1",
            "invalid restart policy format: no policy provided before colon",
        ),
        (
            "restart-policy",
            "always:x",
            "invalid restart policy format: maximum retry count must be an integer",
        ),
    ],
)
def test_options_are_refused_in_buildxs_words(key: str, value: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_options({key: value})
    assert str(caught.value) == said
