"""Where a webhook may go: the parts of its URL, and whether an address is one of the internet."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

_PORTS = {"https": 443, "http": 80}
_LONGEST_URL = 2000
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LONGEST_LABEL = 63

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
# As `getaddrinfo` gives it: the family of the socket, and where it connects to.
SocketAddress: TypeAlias = tuple[int, Any]


class AddressRefused(OSError):
    """None of the addresses of a name may be called."""


@dataclass(frozen=True)
class Target:
    """Whom to call: `path` with the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"


def parse_target(url: str, *, allow_private: bool) -> Target:
    """The parts of a URL; raises ValueError, which says what is wrong with it.

    Plain http is for private addresses only, and for nobody where those are refused.
    """
    if len(url) > _LONGEST_URL or not url.isascii() or any(each.isspace() for each in url):
        raise ValueError(f"a URL has at most {_LONGEST_URL} ASCII characters, no blanks")
    parts = urlsplit(url)
    schemes = tuple(_PORTS) if allow_private else ("https",)
    if parts.scheme not in schemes:
        wanted = " or ".join(f"{scheme}://" for scheme in schemes)
        also = "" if allow_private else "; http:// is for HOOKS_ALLOW_PRIVATE=true alone"
        raise ValueError(f"the URL does not begin with {wanted}{also}")
    host = parts.hostname or ""
    if not host or any(not 0 < len(label) <= _LONGEST_LABEL for label in host.split(".")):
        raise ValueError("the URL names no host")
    if parts.username is not None or parts.fragment:
        raise ValueError("the URL has a user, a password or a fragment")
    query = f"?{parts.query}" if parts.query else ""
    port = parts.port if parts.port is not None else _PORTS[parts.scheme]
    if port <= 0:
        raise ValueError("the URL names no port")
    return Target(parts.scheme, host, port, f"{parts.path or '/'}{query}")


def resolve(target: Target, *, allow_private: bool) -> list[SocketAddress]:
    """The addresses that may be called, in the order to try them.

    Raises AddressRefused where there is none but private ones, and OSError where the name is not
    known.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("the name is none of the domain name system") from None
    addresses: list[SocketAddress] = [(family, address) for family, _, _, _, address in found]
    if allow_private:
        return addresses
    public = [each for each in addresses if is_public(str(each[1][0]))]
    if not public:
        raise AddressRefused
    return public


def is_public(address: str) -> bool:
    """Whether an address is one that anybody on the internet could call.

    An IPv4 address that is written within one of IPv6 counts as what it is.
    """
    ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    is_site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or is_site_local)


def _unwrapped(ip: IpAddress) -> IpAddress:
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.teredo is not None:
        return ip.teredo[1]
    return ip.ipv4_mapped or ip.sixtofour or ip
