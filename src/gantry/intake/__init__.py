"""The one way in: judge, place the bytes, index, announce; duplicates and quarantine."""

from __future__ import annotations

from gantry.intake.judge import Verdict, judge
from gantry.intake.reasons import Reason

__all__ = ["Reason", "Verdict", "judge"]
