"""The client: one method per thing one can do with a server."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import ssl
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from gantry_client.errors import DamagedDownload, GantryClientError, Unreachable
from gantry_client.http import Connector, with_query
from gantry_client.models import Delivery, Echo, Instance, Node, Receipt, Rule, Series, Study, read

_API = "/api/v1"
_CHUNK = 1024 * 1024
T = TypeVar("T")


class GantryClient:
    """A Gantry server at `base_url`, asked with an API token.

    `timeout` is in seconds per answer; `retries` are for requests that may be repeated. Every method raises
    Unreachable or a RequestFailed. Safe to use from several threads.
    """

    def __init__(
        self, base_url: str, token: str, *, timeout: float = 30.0, retries: int = 3, context: ssl.SSLContext | None = None
    ) -> None:
        self._http = Connector(base_url.rstrip("/"), token, timeout, retries, context)

    # studies, series, instances

    def studies(
        self, *, patient_id: str | None = None, patient_name: str | None = None, accession_number: str | None = None,
        study_date_from: date | None = None, study_date_to: date | None = None, modality: str | None = None,
        q: str | None = None,
    ) -> Iterator[Study]:  # fmt: skip
        """Studies, the last received first; `*` and `?` are wildcards in the first three."""
        return self._all(Study, "/studies", {
            "patient_id": patient_id, "patient_name": patient_name, "accession_number": accession_number,
            "study_date_from": study_date_from, "study_date_to": study_date_to, "modality": modality, "q": q,
        })  # fmt: skip

    def study(self, study_instance_uid: str) -> Study:
        """One study. Raises NotFound."""
        return self._one(Study, "GET", f"/studies/{_part(study_instance_uid)}")

    def series(self, *, study_instance_uid: str | None = None, modality: str | None = None) -> Iterator[Series]:
        """Series, the newest first."""
        return self._all(Series, "/series", {"study_instance_uid": study_instance_uid, "modality": modality})

    def instances(
        self, *, study_instance_uid: str | None = None, series_instance_uid: str | None = None, sop_class_uid: str | None = None
    ) -> Iterator[Instance]:
        """Instances, the newest first."""
        return self._all(Instance, "/instances", {
            "study_instance_uid": study_instance_uid, "series_instance_uid": series_instance_uid, "sop_class_uid": sop_class_uid,
        })  # fmt: skip

    def instance(self, sop_instance_uid: str) -> Instance:
        """One instance. Raises NotFound."""
        return self._one(Instance, "GET", f"/instances/{_part(sop_instance_uid)}")

    def download(self, sop_instance_uid: str, path: str | os.PathLike[str]) -> int:
        """Write the stored Part 10 file of an instance to `path`; gives its size in bytes.

        The file appears under its name only when it is whole and its data set has the SHA-256 that the server
        recorded when it received it. Raises DamagedDownload; an existing file is then as it was.
        """
        target = Path(path)
        draft = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
        try:
            with self._http.open("GET", f"{_API}/instances/{_part(sop_instance_uid)}/file") as answer, open(draft, "xb") as file:
                size = _receive(answer, file)
            os.replace(draft, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
        return size

    # deliveries

    def deliveries(
        self,
        *,
        study_instance_uid: str | None = None,
        node: str | None = None,
        status: str | None = None,
        rule_name: str | None = None,
    ) -> Iterator[Delivery]:
        """The delivery ledger, in the order it was ordered."""
        return self._all(Delivery, "/deliveries", {
            "study_instance_uid": study_instance_uid, "node": node, "status": status, "rule_name": rule_name,
        })  # fmt: skip

    def retry(self, *, study_instance_uid: str | None = None, node: str | None = None, ids: Sequence[int] | None = None) -> int:
        """Try failed and dead deliveries again; gives their number."""
        body = {"study_instance_uid": study_instance_uid, "node": node, "ids": None if ids is None else list(ids)}
        return int(self._http.ask("POST", f"{_API}/deliveries/retry", body)["queued"])

    def receipt(self, study_instance_uid: str) -> Receipt:
        """What was delivered where, and whether it is byte-identical. Raises NotFound."""
        return self._one(Receipt, "GET", f"/studies/{_part(study_instance_uid)}/receipt")

    # nodes

    def nodes(self) -> Iterator[Node]:
        """All nodes."""
        return self._all(Node, "/nodes", {})

    def node(self, name: str) -> Node:
        """One node. Raises NotFound."""
        return self._one(Node, "GET", f"/nodes/{_part(name)}")

    def add_node(self, name: str, address: str, **settings: Any) -> Node:
        """Add a node at AET@HOST:PORT; `settings` as in the API (calling_aet, max_associations, ...)."""
        return self._one(Node, "POST", "/nodes", {"name": name, "address": address, **settings})

    def enable_node(self, name: str, enabled: bool = True) -> Node:
        """Let its deliveries run, or hold them back."""
        return self._one(Node, "PATCH", f"/nodes/{_part(name)}", {"enabled": enabled})

    def remove_node(self, name: str) -> None:
        """Take a node away. Raises NotFound, ConflictError when it has open deliveries."""
        self._http.ask("DELETE", f"{_API}/nodes/{_part(name)}")

    def echo(self, name: str) -> Echo:
        """Have the server send it a C-ECHO."""
        return self._one(Echo, "POST", f"/nodes/{_part(name)}/echo")

    # rules

    def rules(self) -> Iterator[Rule]:
        """All rules."""
        return self._all(Rule, "/rules", {})

    def rule(self, name: str) -> Rule:
        """One rule. Raises NotFound."""
        return self._one(Rule, "GET", f"/rules/{_part(name)}")

    def add_rule(self, name: str, destinations: Sequence[str], *, when: Sequence[str] = (), trigger: str = "arrived") -> Rule:
        """Add a rule: what meets all conditions (`Modality=CT,MR`) goes to the nodes named."""
        body = {"name": name, "destinations": list(destinations), "conditions": list(when), "trigger": trigger}
        return self._one(Rule, "POST", "/rules", body)

    def enable_rule(self, name: str, enabled: bool = True) -> Rule:
        """Switch a rule on or off."""
        return self._one(Rule, "PATCH", f"/rules/{_part(name)}", {"enabled": enabled})

    def remove_rule(self, name: str) -> None:
        """Take a rule away. Raises NotFound."""
        self._http.ask("DELETE", f"{_API}/rules/{_part(name)}")

    def _one(self, kind: type[T], method: str, path: str, body: Any = None) -> T:
        return _read(kind, self._http.ask(method, _API + path, body))

    def _all(self, kind: type[T], path: str, values: dict[str, object]) -> Iterator[T]:
        where: str | None = with_query(_API + path, {"limit": 1000, **values})
        while where:
            page = self._http.ask("GET", where)
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise GantryClientError("The answer is no page; is this a Gantry server?")
            for item in page["items"]:
                yield _read(kind, item)
            # Only the query of `next` is taken: the token goes to no other host, whatever an answer says.
            where = f"{_API}{path}?{urlsplit(page['next']).query}" if page.get("next") else None


def _part(text: str) -> str:
    """Text as one part of a path."""
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot name anything")
    return quote(text, safe="")


def _read(kind: type[T], content: Any) -> T:
    try:
        return read(kind, content)
    except (ValueError, TypeError) as error:
        raise GantryClientError(f"The answer cannot be understood: {error}. Is this a Gantry server of our version?") from error


def _receive(answer: http.client.HTTPResponse, file: Any) -> int:
    expected = answer.headers.get("X-Gantry-Dataset-SHA256", "")
    offset = int(answer.headers.get("X-Gantry-Dataset-Offset", "0"))
    digest, size = hashlib.sha256(), 0
    while True:
        try:
            chunk = answer.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the file broke off: {error or type(error).__name__}") from error
        if not chunk:
            break
        file.write(chunk)
        digest.update(memoryview(chunk)[max(0, offset - size) :])
        size += len(chunk)
    if answer.length:
        raise Unreachable(f"the file broke off {answer.length} bytes before its end")
    if digest.hexdigest() != expected:
        raise DamagedDownload("The data set that came does not have the SHA-256 that the server recorded.")
    return size
