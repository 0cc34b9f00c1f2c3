"""The address of a DIMSE peer as people write it: `AET@host:port`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from gantry.nodes.errors import BadAddress

_SHAPE = re.compile(r"(?P<aet>[^@]*)@(?P<host>\[[^\[\]]*\]|[^\[\]:@]*):(?P<port>[^:@\[\]]*)", re.ASCII)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
_EXAMPLE = "write it as AET@host:port, for example ARCHIVE@10.0.0.5:104 or ARCHIVE@[fd00::5]:104"


def check_aet(aet: str) -> str:
    """The AE title without outer spaces (PS3.5 6.2, VR AE: 1 to 16 characters of ASCII, no backslash).

    Raises BadAddress.
    """
    aet = aet.strip(" ")
    if not aet:
        raise BadAddress(f"the AE title is empty: {_EXAMPLE}")
    if len(aet) > 16:
        raise BadAddress(f"the AE title {aet!r} has {len(aet)} characters; 16 are allowed")
    if not all(0x20 <= ord(char) < 0x7F and char != "\\" for char in aet):
        raise BadAddress(f"the AE title {aet!r} has a character that is not allowed (printable ASCII, no backslash)")
    return aet


def check_host(host: str) -> str:
    """A host name, IPv4 or IPv6 address without brackets. Raises BadAddress."""
    host = host.strip()
    if not host:
        raise BadAddress(f"the host is empty: {_EXAMPLE}")
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise BadAddress(f"{host!r} is no IPv6 address") from error
        return host
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError as error:
            raise BadAddress(f"{host!r} is no IPv4 address") from error
        return host
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadAddress(f"{host[:80]!r} is no host name")
    return host


def check_port(port: str | int) -> int:
    """A TCP port, 1 to 65535. Raises BadAddress."""
    text = str(port)
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise BadAddress(f"the port {text[:20]!r} is not a number from 1 to 65535")
    return int(text)


@dataclass(frozen=True, slots=True)
class DimseAddress:
    """Who (AE title) and where (host, port). `str()` gives the written form back."""

    aet: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> DimseAddress:
        """Read `AET@host:port`; an IPv6 address stands in brackets. Raises BadAddress with the remedy."""
        match = _SHAPE.fullmatch(text.strip())
        if match is None:
            shown = text if len(text) <= 80 else text[:77] + "..."
            hint = " (an IPv6 address needs brackets)" if text.count(":") > 1 and "[" not in text else ""
            raise BadAddress(f"{shown!r} is no DICOM address{hint}: {_EXAMPLE}")
        host = match["host"]
        if host.startswith("["):
            host = host[1:-1]
            if ":" not in host:
                raise BadAddress(f"brackets are for IPv6 addresses, {host[:80]!r} is none")
        return cls(check_aet(match["aet"]), check_host(host), check_port(match["port"]))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.aet}@{host}:{self.port}"
