"""The client: one method per thing one can do with a server; they are in `nouns`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from gantry_client import files
from gantry_client.http import Connector
from gantry_client.nouns.changes import Changes
from gantry_client.nouns.deliveries import Deliveries
from gantry_client.nouns.nodes import Nodes
from gantry_client.nouns.people import People
from gantry_client.nouns.rules import Rules
from gantry_client.nouns.storage import Storage
from gantry_client.nouns.studies import Studies
from gantry_client.nouns.system import System
from gantry_client.nouns.watching import Watching
from gantry_client.records_watching import AuditCheck


class GantryClient(Studies, Deliveries, Nodes, Rules, Storage, People, Watching, Changes, System):
    """A Gantry server at `base_url`, asked with an API token.

    `timeout` is in seconds per answer; `retries` are for requests that may be repeated. Every method raises
    Unreachable or a RequestFailed. Safe to use from several threads. Within asyncio: `AsyncGantryClient`.
    """

    def __init__(
        self, base_url: str, token: str, *, timeout: float = 30.0, retries: int = 3, context: ssl.SSLContext | None = None
    ) -> None:
        self._http = Connector(base_url.rstrip("/"), token, timeout, retries, context)

    def download(self, sop_instance_uid: str, path: str | os.PathLike[str]) -> int:
        """Write the stored Part 10 file of an instance to `path`; gives its size in bytes.

        The file appears under its name only when it is whole and its data set has the SHA-256 that the server
        recorded when it received it. Raises DamagedDownload; an existing file is then as it was.
        """
        return files.download(self._http, sop_instance_uid, path)

    def export_audit(
        self, path: str | os.PathLike[str], *, since: datetime | None = None, until: datetime | None = None,
        form: Literal["jsonl", "csv"] = "jsonl",
    ) -> int:  # fmt: skip
        """Write all entries of the audit in a span of time to `path`, oldest first; gives the size in bytes.

        The file appears under its name only when it is whole. That it was exported stands in the audit.
        """
        return files.export_audit(self._http, path, since, until, form)

    def verify_audit(self, told: Callable[[int, int], object] | None = None) -> AuditCheck:
        """Have the server walk the chains of its audit: was an entry changed, removed, slipped in, the end cut off?

        `told` is called with entries read and their sum while it goes on. Raises ConflictError while another check runs.
        """
        return files.verify_audit(self._http, told)
