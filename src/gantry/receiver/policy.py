"""Who may call and for what, as plain data: judged without I/O, written to and read from a file."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ACTIONS = ("echo", "store", "find", "get", "move", "commit")
#: What a node and, with `unknown_callers: store`, anybody may do.
SENDER = frozenset({"echo", "store"})
Unknown = Literal["refuse", "store", "allow"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in. `known`: an entry or a node, and not merely the rule for strangers."""

    aet: str
    actions: frozenset[str]
    known: bool = True

    def may(self, action: str) -> bool:
        """Whether it may `echo`, `store`, `find`, `get`, `move` or `commit`."""
        return action in self.actions


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written down about an AE title."""

    aet: str
    actions: frozenset[str]
    hosts: tuple[str, ...] = ()
    certificate: str = ""
    enabled: bool = True
    networks: tuple[Network, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Entry:
        """From a row or a line of the file. Raises ValueError, KeyError, TypeError."""
        hosts = tuple(str(host) for host in row["hosts"])
        networks = tuple(ipaddress.ip_network(host, strict=False) for host in hosts)
        actions = frozenset(str(action) for action in row["actions"]) & frozenset(ACTIONS)
        return cls(str(row["aet"]), actions, hosts, str(row["certificate"]), bool(row["enabled"]), networks)

    def plain(self) -> dict[str, Any]:
        """For the file."""
        return {
            "aet": self.aet, "actions": sorted(self.actions), "hosts": list(self.hosts), "certificate": self.certificate,
            "enabled": self.enabled,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """All entries and the AE titles of the nodes, at one moment."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    nodes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], nodes: Iterable[str]) -> Policy:
        """From rows. Raises what Entry.of raises."""
        entries = (Entry.of(row) for row in rows)
        return cls({entry.aet: entry for entry in entries}, frozenset(str(node) for node in nodes))

    @classmethod
    def read(cls, text: str) -> Policy:
        """From the text of the file. Raises ValueError when it cannot be understood."""
        try:
            found = json.loads(text)
            if found["version"] != _VERSION:
                raise ValueError("written by another version")
            return cls.of(found["callers"], found["nodes"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a file of callers") from error

    def write(self) -> str:
        """The text of the file."""
        callers = [self.entries[aet].plain() for aet in sorted(self.entries)]
        return json.dumps({"version": _VERSION, "callers": callers, "nodes": sorted(self.nodes)}, indent=1) + "\n"

    def judge(self, aet: str, host: str, certificate: str, unknown: Unknown) -> Caller | str:
        """The caller, or why it is refused. `certificate`: fingerprint of what the peer has shown, empty for none."""
        entry = self.entries.get(aet)
        if entry is not None:
            reason = _complaint(entry, host, certificate)
            return reason or Caller(aet, entry.actions)
        if aet in self.nodes:
            return Caller(aet, SENDER if unknown != "allow" else frozenset(ACTIONS))
        if unknown == "refuse":
            return "unknown AE title"
        return Caller(aet, SENDER if unknown == "store" else frozenset(ACTIONS), known=False)


def _complaint(entry: Entry, host: str, certificate: str) -> str:
    if not entry.enabled:
        return "denied"
    if entry.networks and not _inside(host, entry.networks):
        return "calls from another host"
    if entry.certificate and certificate != entry.certificate:
        return "shows another certificate" if certificate else "shows no certificate"
    return ""


def _inside(host: str, networks: Iterable[Network]) -> bool:
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        # A socket for both families shows IPv4 callers like this.
        address = address.ipv4_mapped
    return any(address.version == network.version and address in network for network in networks)
