"""The receiver process: one slot of the spool, one share of the DICOM port."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from dimse.errors import TlsError
from gantry.config import Config
from gantry.main import home as homes
from gantry.main import ports, postgres
from gantry.main.errors import SetupError
from gantry.main.stopping import stop_event
from gantry.receiver.listen import inherited_sockets, listen


def run(config: Config, slot: str) -> int:
    """Serve until SIGTERM or SIGINT, give the exit code. Raises SetupError, StorageError."""
    home = homes.open_home(Path(config.home))
    # Storing never needs it; who may call, find and retrieve come from there.
    os.environ.setdefault("GANTRY_DATABASE_URL", config.database_url or postgres.url(home))
    stop = stop_event()
    plain, tls = inherited_sockets()
    with ExitStack() as opened:
        listener = opened.enter_context(plain or ports.listen(config.dicom, "dicom"))
        if tls is None and config.dicom_tls_address:
            tls = ports.listen(config.dicom_tls_address, "dicom-tls")
        if tls is not None:
            opened.enter_context(tls)
        try:
            listen(listener, config, slot, stop, tls)
        except TlsError as error:
            raise SetupError(error.cause, error.remedy) from error
    return 0
