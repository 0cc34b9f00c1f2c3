"""C-GET: the stored bytes, verbatim, on the association on which they were asked for (PS3.4 C.4.3).

Only where the asker takes no context with the stored syntax, and the setting `transcode` allows it, are they converted
on their way out; what cannot be converted has failed and is named.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path

from dimse.acceptance import AssociationInfo
from dimse.errors import Refused
from dimse.operations import GetRequest, Outgoing
from dimse.retrieval import storable
from dimse.status import OUT_OF_RESOURCES
from gantry.catalogue.locate import Location
from gantry.dataset.transcode import CannotTranscode, How, possible, transcoded_view
from gantry.nodes.ahead import Prepared, ReadAhead
from gantry.nodes.items import SendItem
from gantry.nodes.stored import Damaged
from gantry.receiver.errors import IndexAway
from gantry.receiver.index import Index
from gantry.receiver.matching import matching

log = logging.getLogger("gantry.receiver")


def get(
    index: Index,
    home: Path,
    association: AssociationInfo,
    request: GetRequest,
    cancelled: Callable[[], bool],
    *,
    verify: bool = True,
    transcode: How = "never",
) -> tuple[int, Iterator[Outgoing]]:
    """How many instances a request means, and they one by one. Raises Refused: A900, or A700 while the index is away.

    With `verify` the digest of each instance is compared before its first byte goes out. `transcode`: see above.
    """
    try:
        with index.connection() as connection:
            found = matching(connection, request)
    except IndexAway as error:
        raise Refused(OUT_OF_RESOURCES, "index is away") from error
    taken = storable(association.contexts)
    syntaxes = [possible(location.transfer_syntax_uid, taken.get(location.sop_class_uid, ()), transcode) for location in found]
    return len(found), _outgoing(home, list(zip(found, syntaxes, strict=True)), cancelled, verify=verify)


def _outgoing(
    home: Path, found: Sequence[tuple[Location, str | None]], cancelled: Callable[[], bool], *, verify: bool
) -> Iterator[Outgoing]:
    # What the asker cannot take is told first: the engine counts it as failed, and nobody reads it.
    for location, syntax in found:
        if syntax is None:
            yield Outgoing(location.sop_class_uid, location.sop_instance_uid, location.transfer_syntax_uid, _never)
    sent = [(_item(home, location), syntax) for location, syntax in found if syntax is not None]
    with closing(ReadAhead((item for item, _ in sent), verify=verify)) as ahead:
        for prepared, (item, syntax) in zip(ahead, sent, strict=True):
            if cancelled():
                return
            yield Outgoing(item.sop_class_uid, item.sop_instance_uid, syntax, partial(_opened, prepared, syntax, str(home)))


def _item(home: Path, location: Location) -> SendItem:
    return SendItem(
        key=location.version_id, path=f"{home}/{location.file_path}", dataset_offset=location.dataset_offset,
        dataset_bytes=location.dataset_bytes, sha256=bytes(location.sha256), sop_class_uid=location.sop_class_uid,
        sop_instance_uid=location.sop_instance_uid, transfer_syntax_uid=location.transfer_syntax_uid,
    )  # fmt: skip


@contextmanager
def _opened(prepared: Prepared, syntax: str, scratch: str) -> Iterator[Sequence[memoryview]]:
    """The data set in `syntax`. Raises Damaged, CannotTranscode."""
    stored = prepared.item.transfer_syntax_uid
    try:
        with prepared.open() as data:
            if syntax == stored:
                yield (data.view,)
                return
            with transcoded_view(data.view, stored, (syntax,), how="any", scratch=scratch) as given:
                if given is None:
                    raise CannotTranscode(f"{stored} cannot be given as {syntax}")
                yield given[1]
    except (Damaged, CannotTranscode) as error:
        log.error("version %s cannot be given to a C-GET: %s", prepared.item.key, error)
        raise


def _never() -> AbstractContextManager[Sequence[memoryview]]:
    raise Damaged("the asker takes no such context")
