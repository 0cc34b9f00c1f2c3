"""Publish a fact in the caller's transaction and wake its subscribers."""

from __future__ import annotations

from gantry.facts.kinds import Arrived, Fact, RuleFailed, RulesChanged, Settled, StudyEnded
from gantry.facts.publish import CHANNEL, publish
from gantry.facts.subscribe import subscribe

__all__ = ["CHANNEL", "Arrived", "Fact", "RuleFailed", "RulesChanged", "Settled", "StudyEnded", "publish", "subscribe"]
