"""Python client of a Gantry server; knows only HTTP, needs only the standard library.

>>> client = GantryClient("http://127.0.0.1:8080", "gty_...")  # doctest: +SKIP
>>> for study in client.studies(patient_name="doe*"):          # doctest: +SKIP
...     print(study.study_instance_uid, client.receipt(study.study_instance_uid).complete)
"""

from gantry_client.aio.client import AsyncGantryClient
from gantry_client.client import GantryClient
from gantry_client.errors import (
    ConflictError,
    DamagedDownload,
    GantryClientError,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotSignedIn,
    PositionGone,
    RequestFailed,
    ServerFailed,
    Unreachable,
)

__all__ = [
    "AsyncGantryClient", "ConflictError", "DamagedDownload", "GantryClient", "GantryClientError", "InvalidRequest", "NotAllowed",
    "NotFound", "NotSignedIn", "PositionGone", "RequestFailed", "ServerFailed", "Unreachable",
]  # fmt: skip
