"""Who counts as one caller, by the address."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

_SUBNET = 64
"""Bits of an IPv6 address that are a site's; the others each of its machines chooses as it likes, and as often."""

_LONGEST = 64


@lru_cache(maxsize=16_384)
def client_of(address: str) -> str:
    """The caller at an address: one IPv4 address, or an IPv6 network of 64 bits.

    What a proxy calls its client by another name (`unknown`, `_hidden`) is taken as it is.
    """
    try:
        found = ip_address(_without_port(address).partition("%")[0])
    except ValueError:
        return address[:_LONGEST]
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    network = IPv6Address(int(found) >> 128 - _SUBNET << 128 - _SUBNET)
    return f"{network}/{_SUBNET}"


def _without_port(address: str) -> str:
    """Some proxies add it."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, separator, port = address.partition(":")
    return host if separator and port.isdigit() and "." in host else address
