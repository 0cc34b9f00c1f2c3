"""Which instances of a series a DICOMweb server has (QIDO-RS, PS3.18 10.6)."""

from __future__ import annotations

import http.client
import json
from typing import Any

from gantry.nodes.errors import QueryFailed
from gantry.nodes.items import WebTarget
from gantry.nodes.stow_client import Client
from gantry.nodes.stow_explain import explain_reply, explain_trouble

_PAGE, _PAGES = 500, 200
_INSTANCE = "00080018"


def instances_of(target: WebTarget, study_uid: str, series_uid: str) -> set[str]:
    """SOP Instance UIDs, page by page. Raises QueryFailed."""
    found: set[str] = set()
    client = Client(target)
    try:
        for page in range(_PAGES):
            path = f"/studies/{study_uid}/series/{series_uid}/instances?limit={_PAGE}&offset={page * _PAGE}"
            client.connect()
            reply = client.ask("GET", path, {"Accept": "application/dicom+json"})
            if reply.status in {204, 404}:
                break  # nothing of it is there
            if reply.status != 200:
                why = explain_reply(reply)
                raise QueryFailed(why.cause, why.remedy)
            uids = _uids(json.loads(reply.body))
            more = uids - found
            found |= uids
            if len(uids) < _PAGE or not more:
                break  # the last page, or a server that knows no pages
    except (OSError, http.client.HTTPException) as error:
        why = explain_trouble(error, target)
        raise QueryFailed(why.cause, why.remedy) from error
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise QueryFailed("the server's answer to a query is no DICOM JSON", "check that it is a DICOMweb server") from error
    finally:
        client.close()
    return found


def _uids(said: Any) -> set[str]:
    return {str(item[_INSTANCE]["Value"][0]) for item in said}
