"""The client for asyncio."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from gantry_client import files
from gantry_client.aio.asking import AsyncConnector
from gantry_client.aio.changes import Changes
from gantry_client.aio.deliveries import Deliveries
from gantry_client.aio.nodes import Nodes
from gantry_client.aio.people import People
from gantry_client.aio.rules import Rules
from gantry_client.aio.storage import Storage
from gantry_client.aio.studies import Studies
from gantry_client.aio.system import System
from gantry_client.aio.watching import Watching
from gantry_client.http import Connector
from gantry_client.records_watching import AuditCheck


class AsyncGantryClient(Studies, Deliveries, Nodes, Rules, Storage, People, Watching, Changes, System):
    """As `GantryClient`; what gives an iterator there gives one for `async for` here, all else is awaited."""

    def __init__(
        self, base_url: str, token: str, *, timeout: float = 30.0, retries: int = 3, context: ssl.SSLContext | None = None
    ) -> None:
        self._http = AsyncConnector(Connector(base_url.rstrip("/"), token, timeout, retries, context))

    async def download(self, sop_instance_uid: str, path: str | os.PathLike[str]) -> int:
        """See `GantryClient.download`."""
        return await asyncio.to_thread(files.download, self._http.connector, sop_instance_uid, path)

    async def export_audit(
        self, path: str | os.PathLike[str], *, since: datetime | None = None, until: datetime | None = None,
        form: Literal["jsonl", "csv"] = "jsonl",
    ) -> int:  # fmt: skip
        """See `GantryClient.export_audit`."""
        return await asyncio.to_thread(files.export_audit, self._http.connector, path, since, until, form)

    async def verify_audit(self, told: Callable[[int, int], object] | None = None) -> AuditCheck:
        """See `GantryClient.verify_audit`; `told` is called in another thread."""
        return await asyncio.to_thread(files.verify_audit, self._http.connector, told)
