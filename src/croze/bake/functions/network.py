"""Arithmetic with IP networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final

from croze.bake.functions.support import amount, function, of_texts, text, whole
from croze.bake.hcl.function import ArgumentError, CallError, Function
from croze.bake.values.types import LIST_OF_STRING, STRING
from croze.bake.values.value import Value, list_value, string

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MOST_BITS: Final = 32


def _network(cidr: str) -> _Network:
    address, slash, prefix = cidr.partition("/")
    try:
        # A netmask in place of the number of bits is none of CIDR notation.
        if not slash or not prefix.isdecimal() or not prefix.isascii() or "%" in address:
            raise ValueError
        return ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        detail = f"invalid CIDR expression: invalid CIDR address: {cidr}"
        raise CallError(detail) from None


def _address(network: _Network, number: int) -> str:
    kind = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    return str(kind(number))


def _host(args: Sequence[Value]) -> Value:
    number = whole(args[1])
    network = _network(args[0].text)
    most = network.num_addresses - 1
    distance = -number - 1 if number < 0 else number
    if distance > most:
        prefix = network.prefixlen
        raise CallError(f"prefix of {prefix} does not accommodate a host numbered {number}")
    offset = most - distance if number < 0 else number
    return string(_address(network, int(network.network_address) | offset))


def _netmask(cidr: str) -> str:
    return str(_network(cidr).netmask)


def _subnet(args: Sequence[Value]) -> Value:
    bits, number = whole(args[1]), whole(args[2])
    network = _network(args[0].text)
    if bits > _MOST_BITS:
        raise CallError(f"may not extend prefix by more than {_MOST_BITS} bits")
    prefix = network.prefixlen + bits
    if prefix > network.max_prefixlen:
        have = f"{network.prefixlen} by {bits}"
        raise CallError(f"insufficient address space to extend prefix of {have}")
    if bits < 0 or not 0 <= number < 2**bits:
        detail = f"prefix extension of {bits} does not accommodate a subnet numbered {number}"
        raise CallError(detail)
    start = int(network.network_address) | number << (network.max_prefixlen - prefix)
    return string(f"{_address(network, start)}/{prefix}")


def _subnets(args: Sequence[Value]) -> Value:
    try:
        network = _network(args[0].text)
    except CallError as error:
        raise ArgumentError(0, str(error)) from None
    first, last = int(network.network_address), int(network.broadcast_address)
    following, before = first, ""
    out: list[Value] = []
    for index, each in enumerate(args[1:], 1):
        prefix = network.prefixlen + _extension(index, each)
        if prefix > network.max_prefixlen:
            detail = f"would extend prefix to {prefix} bits, which is too long for an "
            raise ArgumentError(index, f"{detail}IPv{network.version} address")
        size = 1 << (network.max_prefixlen - prefix)
        start = -(-following // size) * size
        if not first and not before:
            # The search begins at the subnet before the network. Before the first address there is
            # none: the last one is taken for it, and there is no room after that.
            end = (1 << network.max_prefixlen) - size
            before = f"{_address(network, end)}/{prefix}"
            start = last + 1
        if start > last:
            detail = (
                f"not enough remaining address space for a subnet with a prefix of {prefix} bits "
            )
            raise ArgumentError(index, f"{detail}after {before}")
        before = f"{_address(network, start)}/{prefix}"
        out.append(string(before))
        following = start + size
    return list_value(out, STRING)


def _extension(index: int, value: Value) -> int:
    try:
        bits = whole(value)
    except CallError as error:
        raise ArgumentError(index, str(error)) from None
    if bits < 1:
        raise ArgumentError(index, "must extend prefix by at least one bit")
    if bits > _MOST_BITS:
        raise ArgumentError(index, f"may not extend prefix by more than {_MOST_BITS} bits")
    return bits


FUNCTIONS: Final[Mapping[str, Function]] = {
    "cidrhost": function(_host, text("prefix"), amount("hostnum"), returns=STRING),
    "cidrnetmask": of_texts(_netmask, "prefix"),
    "cidrsubnet": function(
        _subnet, text("prefix"), amount("newbits"), amount("netnum"), returns=STRING
    ),
    "cidrsubnets": function(
        _subnets, text("prefix"), returns=LIST_OF_STRING, variadic=amount("newbits")
    ),
}
