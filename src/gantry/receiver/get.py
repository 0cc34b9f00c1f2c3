"""C-GET: the stored bytes, verbatim, on the association on which they were asked for (PS3.4 C.4.3)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from dimse.errors import Refused
from dimse.operations import GetRequest, Outgoing
from dimse.status import OUT_OF_RESOURCES
from gantry.catalogue.locate import Location
from gantry.nodes.items import SendItem
from gantry.nodes.stored import Damaged, ReadBuffer, StoredDataSet
from gantry.receiver.errors import IndexAway
from gantry.receiver.index import Index
from gantry.receiver.matching import matching

log = logging.getLogger("gantry.receiver")


def get(index: Index, home: Path, request: GetRequest, cancelled: Callable[[], bool]) -> tuple[int, Iterator[Outgoing]]:
    """How many instances a request means, and they one by one. Raises Refused: A900, or A700 while the index is away."""
    try:
        with index.connection() as connection:
            found = matching(connection, request)
    except IndexAway as error:
        raise Refused(OUT_OF_RESOURCES, "index is away") from error
    return len(found), _outgoing(home, found, cancelled)


def _outgoing(home: Path, found: Sequence[Location], cancelled: Callable[[], bool]) -> Iterator[Outgoing]:
    # One buffer for all: an instance is sent before the next one is opened.
    buffer = ReadBuffer()
    for location in found:
        if cancelled():
            return
        yield Outgoing(
            location.sop_class_uid, location.sop_instance_uid, location.transfer_syntax_uid, _opener(home, location, buffer)
        )


def _opener(home: Path, location: Location, buffer: ReadBuffer) -> Callable[[], AbstractContextManager[Sequence[memoryview]]]:
    item = SendItem(
        key=location.version_id, path=f"{home}/{location.file_path}", dataset_offset=location.dataset_offset,
        dataset_bytes=location.dataset_bytes, sha256=bytes(location.sha256), sop_class_uid=location.sop_class_uid,
        sop_instance_uid=location.sop_instance_uid, transfer_syntax_uid=location.transfer_syntax_uid,
    )  # fmt: skip
    return lambda: _opened(item, buffer)


@contextmanager
def _opened(item: SendItem, buffer: ReadBuffer) -> Iterator[Sequence[memoryview]]:
    """The data set; its digest is compared before a byte can go out. Raises Damaged."""
    try:
        data = StoredDataSet(item, buffer)
    except Damaged as error:
        log.error("version %s cannot be given to a C-GET: %s", item.key, error)
        raise
    with data:
        yield (data.view,)
