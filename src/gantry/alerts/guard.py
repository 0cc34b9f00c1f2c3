"""Where a webhook may go: not into our own network, unless the settings say so (server-side request forgery).

The name is looked up once, every address it has is judged, and the connection is made to an address that was judged:
a name that answers differently a moment later changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gantry.alerts.errors import BadWebhook, NotSent
from gantry.config import Config

MAX_URL = 2000
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """A webhook's URL, taken apart."""

    tls: bool
    host: str
    port: int
    path: str


def parse(url: str, settings: Config) -> Target:
    """Take a URL apart and judge what can be judged without looking up its name. Raises BadWebhook."""
    if len(url) > MAX_URL or not url.isascii() or any(sign.isspace() or not sign.isprintable() for sign in url):
        raise BadWebhook(f"The URL must have at most {MAX_URL} printable ASCII characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadWebhook("This is no URL.") from error
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise BadWebhook("The URL must begin with https:// (or http://) and a host.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise BadWebhook("The URL must not hold a user name, password or fragment.", remedy="The signature proves who sends.")
    host = parts.hostname.lower().rstrip(".")
    if settings.webhook_hosts and not any(_matches(host, pattern) for pattern in settings.webhook_hosts):
        raise BadWebhook(f"Webhooks may not go to {host}.", remedy="The setting webhook_hosts says where they may go.")
    target = Target(
        parts.scheme == "https", host, port or (443 if parts.scheme == "https" else 80),
        (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )  # fmt: skip
    literal = _literal(host)
    if literal is not None and (refusal := judge(literal, settings.webhook_private, tls=target.tls)):
        raise BadWebhook(refusal, remedy="The setting webhook_private names networks that are allowed.")
    return target


def _matches(host: str, pattern: str) -> bool:
    pattern = pattern.lower()
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def judge(address: Address, private: Sequence[str], *, tls: bool) -> str:
    """Why a webhook may not go to an address; empty: it may."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return judge(address.ipv4_mapped, private, tls=tls)
        if address in _NAT64:
            return judge(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF), private, tls=tls)
    if any(address in ipaddress.ip_network(network, strict=False) for network in private):
        return ""
    if address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved or not address.is_global:
        return f"{address} is not a public address."
    return "" if tls else "Only https goes to public addresses."


def addresses(target: Target, private: Sequence[str]) -> list[str]:
    """The addresses to try, all judged. Raises NotSent when there is none, or one of them is not allowed."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise NotSent(f"{target.host} has no address") from error
    texts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in texts:
        if refusal := judge(ipaddress.ip_address(text.partition("%")[0]), private, tls=target.tls):
            raise NotSent(f"{target.host}: {refusal}")
    return texts[:4]
