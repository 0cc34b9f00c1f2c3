"""Nodes: the places the server talks to, what they are asked, and who may call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gantry_client.models import Echo, Node
from gantry_client.nouns.asking import Asking, given, part
from gantry_client.records_nodes import Caller, Fetch, Found, Profile, RefusedCaller


class Nodes(Asking):
    """Nodes and callers."""

    def nodes(self) -> Iterator[Node]:
        """All nodes."""
        return self._all(Node, "/nodes", {})

    def node(self, name: str) -> Node:
        """One node. Raises NotFound."""
        return self._one(Node, "GET", f"/nodes/{part(name)}")

    def add_node(self, name: str, address: str, **settings: Any) -> Node:
        """Add a node at AET@HOST:PORT; `settings` as in the API (calling_aet, max_associations, ...)."""
        return self._one(Node, "POST", "/nodes", {"name": name, "address": address, **settings})

    def enable_node(self, name: str, enabled: bool = True) -> Node:
        """Let its deliveries run, or hold them back."""
        return self._one(Node, "PATCH", f"/nodes/{part(name)}", {"enabled": enabled})

    def remove_node(self, name: str) -> None:
        """Take a node away. Raises NotFound, ConflictError when it has open deliveries."""
        self._ask("DELETE", f"/nodes/{part(name)}")

    def echo(self, name: str) -> Echo:
        """Have the server send it a C-ECHO."""
        return self._one(Echo, "POST", f"/nodes/{part(name)}/echo")

    def change_node(self, name: str, **settings: Any) -> Node:
        """Change settings as in the API; those that are not named stay."""
        return self._one(Node, "PATCH", f"/nodes/{part(name)}", settings)

    def profile(self, name: str) -> Profile:
        """What the last probe found."""
        return self._one(Profile, "GET", f"/nodes/{part(name)}/profile")

    def probe(self, name: str) -> Profile:
        """Have the server find out what it can do; takes seconds."""
        return self._one(Profile, "POST", f"/nodes/{part(name)}/probe")

    def find(
        self, name: str, keys: Mapping[str, str], *, level: str = "study", wanted: Sequence[str] = (), limit: int | None = None,
        skip: int | None = None,
    ) -> Found:  # fmt: skip
        """Have the server ask a node (C-FIND): `keys` by keyword, `wanted` more keywords to be told."""
        body = given(keys=dict(keys), level=level, wanted=list(wanted), limit=limit, skip=skip)
        return self._one(Found, "POST", f"/nodes/{part(name)}/find", body)

    def fetch(self, name: str, uids: Sequence[str], *, how: str = "auto") -> Fetch:
        """Order STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE from a node; `how`: auto, move or get."""
        return self._one(Fetch, "POST", f"/nodes/{part(name)}/fetch", {"uids": list(uids), "how": how})

    def fetches(self, name: str) -> Iterator[Fetch]:
        """What was ordered from a node, the last first."""
        return self._all(Fetch, f"/nodes/{part(name)}/fetch", {})

    def fetch_state(self, name: str, fetch_id: str) -> Fetch:
        """How far a fetch is. Raises NotFound."""
        return self._one(Fetch, "GET", f"/nodes/{part(name)}/fetch/{part(fetch_id)}")

    def await_fetch(self, name: str, fetch_id: str, *, poll_seconds: float = 1.0) -> Fetch:
        """Wait until a fetch has ended, however long that takes."""
        while True:
            state = self.fetch_state(name, fetch_id)
            if state.ended_at is not None:
                return state
            self._pause(poll_seconds)

    def cancel_fetch(self, name: str, fetch_id: str) -> Fetch:
        """Stop it; what has come stays."""
        return self._one(Fetch, "DELETE", f"/nodes/{part(name)}/fetch/{part(fetch_id)}")

    def callers(self) -> Iterator[Caller]:
        """AE titles that are let in beside the nodes."""
        return self._all(Caller, "/callers", {})

    def refused_callers(self) -> Iterator[RefusedCaller]:
        """Who called and was not let in."""
        return self._all(RefusedCaller, "/callers/refused", {})

    def allow_caller(
        self, aet: str, *, hosts: Sequence[str] = (), may: Sequence[str] | None = None, name: str = "", certificate: str = ""
    ) -> Caller:
        """Let an AE title in, from `hosts` (all when empty)."""
        body = given(aet=aet, hosts=list(hosts), may=None if may is None else list(may), name=name, certificate=certificate)
        return self._one(Caller, "POST", "/callers", body)

    def enable_caller(self, aet: str, enabled: bool = True) -> Caller:
        """Let it call, or not for now."""
        return self._one(Caller, "PATCH", f"/callers/{part(aet)}", {"enabled": enabled})

    def forbid_caller(self, aet: str) -> None:
        """Take it off the list. Raises NotFound."""
        self._ask("DELETE", f"/callers/{part(aet)}")
