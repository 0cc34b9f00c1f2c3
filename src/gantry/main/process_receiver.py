"""The receiver process: one slot of the spool, one share of the DICOM port."""

from __future__ import annotations

from pathlib import Path

from gantry.config import Config
from gantry.main import home as homes
from gantry.main import ports
from gantry.main.stopping import stop_event
from gantry.receiver.listen import inherited_socket, listen


def run(config: Config, slot: str) -> int:
    """Serve until SIGTERM or SIGINT, give the exit code. Raises SetupError, StorageError."""
    homes.open_home(Path(config.home))
    stop = stop_event()
    listener = inherited_socket() or ports.listen(config.dicom, "dicom")
    with listener:
        listen(listener, config, slot, stop)
    return 0
