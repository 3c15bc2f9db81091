"""Which addresses the service may connect to when a caller names the host: public ones, and what an operator adds."""

import socket
from collections.abc import Callable, Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str], Sequence[Address]]

# IANA calls these global, or did when this Python was made, and yet they lead to no host of the public internet.
_REFUSED_IPV4 = (
    IPv4Network("168.63.129.16/32"),  # Azure's metadata and DNS, reachable from every machine there
    IPv4Network("192.0.0.0/24"),  # protocol assignments, with the metadata of Oracle's cloud among them
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
)
# All that is handed out to hosts lies in here; what carries an IPv4 address inside (mapped, NAT64) lies outside.
_UNICAST_IPV6 = IPv6Network("2000::/3")
_REFUSED_IPV6 = (
    IPv6Network("2001::/23"),  # protocol assignments: Teredo, which carries an IPv4 address, and others
    IPv6Network("2002::/16"),  # 6to4, which carries an IPv4 address
    IPv6Network("3fff::/20"),  # documentation
)


def is_public(address: Address) -> bool:
    """Whether this is the address of a host on the public internet."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_IPV4)
    return address in _UNICAST_IPV6 and not any(address in network for network in _REFUSED_IPV6)


def may_connect(address: Address, allowed: Collection[Network]) -> bool:
    """Public, or in a network that the operator has opened."""
    return is_public(address) or any(address in network for network in allowed)


def resolve(host: str) -> Sequence[Address]:
    """What the system knows a name as, in its own order of preference; also reads notations such as `0x7f.1`.

    Raises:
        OSError, UnicodeError: the name has no address.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [ip_address(place[0]) for *_, place in found]
