"""What a check of `gantry doctor` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["fine", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check."""

    subject: str
    level: Level
    message: str
    remedy: str = ""
