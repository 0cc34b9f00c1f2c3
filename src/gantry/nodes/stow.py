"""A lane to a DICOMweb server: STOW-RS, several instances in one request, streamed from their files (PS3.18 10.5)."""

from __future__ import annotations

import http.client
import math
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from gantry.nodes.explain import explain_status
from gantry.nodes.items import Outcome, SendItem, WebTarget
from gantry.nodes.lane import Lane, Run
from gantry.nodes.meter import pace
from gantry.nodes.outgoing import Outgoing, Unsendable, file_prefix, outgoing
from gantry.nodes.stored import Damaged, ReadBuffer, StoredDataSet
from gantry.nodes.stow_answer import Answer, read_answer
from gantry.nodes.stow_client import Client, Reply
from gantry.nodes.stow_explain import explain_reply, explain_trouble

#: In one request: so many instances, and no more bytes than this beside the first.
TOGETHER, TOGETHER_BYTES = 8, 8 << 20
#: The answers that speak of instances (PS3.18 table 10.5.3-1); all others are of the request as a whole.
_OF_INSTANCES = (200, 202, 409)
_TOO_LARGE = 413
_BUSY = (408, 429, 502, 503, 504, 507)


@dataclass(frozen=True, slots=True)
class _Part:
    """One instance of a request."""

    item: SendItem
    started: datetime
    out: Outgoing
    head: bytes


class WebLane(Lane):
    """One thread with one connection."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        assert isinstance(run.target, WebTarget)
        self._target = run.target
        self._client: Client | None = None

    def one(self, item: SendItem, data: StoredDataSet, started: datetime) -> bool:
        """Deliver the item and some that follow it."""
        with ExitStack() as stack:
            parts = [self._part(item, data, started, stack)]
            parts += self._more(stack, item.dataset_bytes)
            return self._post(parts)

    def _part(self, item: SendItem, data: StoredDataSet, started: datetime, stack: ExitStack) -> _Part:
        # A file says its own transfer syntax, and servers take any.
        out = stack.enter_context(outgoing(item, data, None))
        assert out is not None
        return _Part(item, started, out, file_prefix(item, out))

    def _more(self, stack: ExitStack, size: int) -> Iterator[_Part]:
        """What waits already and fits into the same request."""
        room = TOGETHER_BYTES - size
        for _ in range(TOGETHER - 1):
            item = self.joint.feed.take(wait=False) if room > 0 else None
            if item is None:
                return
            if item.dataset_bytes > room:
                self.joint.feed.push_back(item)
                return
            room -= item.dataset_bytes
            started = datetime.now(UTC)
            try:
                data = stack.enter_context(StoredDataSet(item, ReadBuffer()))
                yield self._part(item, data, started, stack)
            except Damaged as error:
                self.record(item, Outcome.DAMAGED, started, str(error), permanent=True)
            except Unsendable as error:
                self.record(item, Outcome.REFUSED, started, str(error), permanent=True)

    def _post(self, parts: list[_Part]) -> bool:
        rate = self._room(parts)
        if rate is None:
            return False
        boundary = f"gantry-{uuid.uuid4().hex}"
        body, length = _multipart(parts, boundary)
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(length),
            "Accept": "application/dicom+json",
        }
        try:
            client = self._connected()
        except (OSError, http.client.HTTPException) as error:
            self.drop()
            self._back(parts)
            self.joint.unreachable(str(explain_trouble(error, self._target)))
            return False
        try:
            reply = self._ask(client, headers, body, rate)
        except (OSError, http.client.HTTPException) as error:
            text = str(explain_trouble(error, self._target))
            for part in parts:
                self.record(part.item, Outcome.FAILED, part.started, text, out=part.out)
            return not self.joint.lost(text)
        return self._judge(reply, parts)

    def _connected(self) -> Client:
        self._client = self._client or Client(self._target)
        self._client.connect()
        return self._client

    def _room(self, parts: list[_Part]) -> float | None:
        meter = self.joint.manner.meter
        if meter is None:
            return math.inf
        size = sum(part.out.size for part in parts)
        rate = meter.take(size, max(part.item.priority for part in parts), self.joint.stop.is_set)
        if rate is None:
            self._back(parts)
        return rate

    def _ask(self, client: Client, headers: dict[str, str], body: list[memoryview | bytes], rate: float) -> Reply:
        try:
            pace(client, rate)
            return client.ask("POST", "/studies", headers, body)
        except (OSError, http.client.HTTPException) as error:
            reused = client.reused
            self.drop()
            if not reused or isinstance(error, TimeoutError):
                raise
        # It died while it was idle: that says nothing. To store twice does no harm.
        try:
            client = self._connected()
            pace(client, rate)
            return client.ask("POST", "/studies", headers, body)
        except (OSError, http.client.HTTPException):
            self.drop()
            raise

    def _judge(self, reply: Reply, parts: list[_Part]) -> bool:
        if reply.status in _OF_INSTANCES:
            answer = read_answer(reply.body, reply.content_type)
            if answer.readable or reply.status == 200:
                for part in parts:
                    self._answered(part, reply, answer)
                return True
        text = str(explain_reply(reply))
        if reply.status == _TOO_LARGE:
            return self._too_large(parts, text)
        self._back(parts)
        if reply.status in _BUSY:
            self.joint.parallel.refused()
        self.joint.unreachable(text)
        return False

    def _too_large(self, parts: list[_Part], text: str) -> bool:
        if len(parts) > 1:
            for number, part in enumerate(parts):
                if not self._post([part]):
                    self._back(parts[number + 1 :])
                    return False
            return True
        self.record(parts[0].item, Outcome.REFUSED, parts[0].started, text, permanent=True, out=parts[0].out)
        return True

    def _answered(self, part: _Part, reply: Reply, answer: Answer) -> None:
        uid = part.out.sop_instance_uid
        if uid in answer.failed:
            reason = answer.failed[uid]
            why = explain_status(reason, "")
            self.record(part.item, Outcome.REFUSED, part.started, str(why), permanent=why.permanent, status=reason, out=part.out)
        elif uid in answer.stored:
            warning = answer.stored[uid]
            text = str(explain_status(warning, "")) if warning else ""
            self.record(part.item, Outcome.CONFIRMED, part.started, text, status=warning, out=part.out)
        elif reply.status == 200 and not (answer.stored or answer.failed or answer.others_failed):
            # 200 is "all were stored"; some servers leave the list out.
            text = "stored; the server did not name the instances"
            self.record(part.item, Outcome.CONFIRMED, part.started, text, status=0, out=part.out)
        else:
            text = f"HTTP {reply.status}: the server did not say what became of this instance (we try again)"
            self.record(part.item, Outcome.FAILED, part.started, text, out=part.out)

    def _back(self, parts: list[_Part]) -> None:
        for part in reversed(parts):
            self.joint.feed.push_back(part.item)

    def drop(self) -> None:
        """Close."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        """Close."""
        self.drop()


def _multipart(parts: list[_Part], boundary: str) -> tuple[list[memoryview | bytes], int]:
    """The pieces of the body and their length (RFC 2387): views of the files, nothing is copied."""
    pieces: list[memoryview | bytes] = []
    for number, part in enumerate(parts):
        start = "" if number == 0 else "\r\n"
        pieces.append(f"{start}--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii") + part.head)
        pieces += part.out.views
    pieces.append(f"\r\n--{boundary}--\r\n".encode("ascii"))
    return pieces, sum(len(piece) for piece in pieces)
