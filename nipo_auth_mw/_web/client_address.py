"""The client address of a request, and what it says about the network in front of the app."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

Environ = dict[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[^\]]*)?)\](?::[0-9]{1,5})?")
_V4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
# RFC 1918, 4193, 6598, 3927, 4291. Not `is_private`, which is also true of the networks for documentation.
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


def client_address(environ: Environ) -> str:
    """The client address: REMOTE_ADDR, as `trusted_proxies` has corrected it.

    If a proxy names no address, such as RFC 7239's `unknown`, it is the address of the proxy, so that no request
    escapes the limits (CVE-2024-47070). A server on a UNIX socket names none: then it is the text that the server
    gives, which may be "".
    """
    given = str(environ.get("REMOTE_ADDR") or "")
    peer = str(environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR") or "")
    found = read(given) or read(peer)
    return str(found) if found else peer or given


def read(text: str) -> Address | None:
    """The IP address in a text, or None.

    Balancers write a port (`192.0.2.1:5678`, `[2001:db8::1]:5678`), and a server may name a zone (`fe80::1%eth0`). An
    IPv4-mapped IPv6 address is its IPv4 address.
    """
    text = text.strip(" \t")
    found = _BRACKETED.fullmatch(text) or _V4_WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((found[1] if found else text).partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_private(text: str) -> bool:
    """Whether the text is an address of this machine or of a private network, as proxies and front ends have one."""
    address = read(text)
    return address is not None and any(address in network for network in _PRIVATE)
