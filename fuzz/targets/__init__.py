"""One file for each reader: `one(data)` feeds it, `seeds()` gives inputs to begin with.

`one` swallows the errors that the reader may raise by its contract and asserts what must hold otherwise;
anything that comes out of it is a finding.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

NAMES = (
    "pdu",
    "user_items",
    "command_set",
    "acceptor",
    "requestor",
    "listener",
    "driver",
    "identifier",
    "dataset_scan",
    "part10",
)


def load(name: str) -> ModuleType:
    """A target by name. `ValueError` for an unknown one, `ImportError` when what it tests is not there."""
    if name not in NAMES:
        raise ValueError(f"there is no target {name}; there are {', '.join(NAMES)}")
    return import_module(f"fuzz.targets.{name}")
