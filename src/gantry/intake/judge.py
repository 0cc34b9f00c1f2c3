"""May this object be indexed? Pure: the receiver asks before it answers, the indexer asks again."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.dataset import Identity, has_leading_zero, is_valid_uid, normalise_uid
from gantry.intake import reasons
from gantry.intake.reasons import Reason

SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accepted, or the reason why not; the UIDs that are to be used; what was strange but is no obstacle."""

    reason: Reason | None
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """It is to be indexed."""
        return self.reason is None

    @property
    def dimse_status(self) -> int:
        """What its sender is answered."""
        return SUCCESS if self.reason is None else self.reason.dimse_status

    @property
    def explanation(self) -> str:
        """The reason in words; empty when accepted."""
        return "" if self.reason is None else self.reason.text


def judge(identity: Identity, *, command_sop_class: str = "", command_sop_instance: str = "") -> Verdict:
    """Judge the UIDs of an object: those in its data set against the rules and against the command's.

    A UID is digits and dots, at most 64 characters (PS3.5 9.1); leading zeros are taken with a warning. A SOP
    Class UID that the data set lacks is taken from the command (PS3.7 9.1.1.1) or the file meta information.
    Without a command (`""`) only the data set counts.
    """
    command_class, command_instance = normalise_uid(command_sop_class), normalise_uid(command_sop_instance)
    class_uid = identity.sop_class_uid or command_class
    uids = (
        (class_uid, reasons.CLASS_MISSING, reasons.CLASS_INVALID),
        (identity.sop_instance_uid, reasons.INSTANCE_MISSING, reasons.INSTANCE_INVALID),
        (identity.study_instance_uid, reasons.STUDY_MISSING, reasons.STUDY_INVALID),
        (identity.series_instance_uid, reasons.SERIES_MISSING, reasons.SERIES_INVALID),
    )
    warnings: list[str] = []
    for uid, missing, invalid in uids:
        if not uid:
            return Verdict(missing)
        if not is_valid_uid(uid):
            return Verdict(invalid)
        if has_leading_zero(uid):
            warnings.append("a UID has a component with a leading zero")
    instance, study, series = (uid or "" for uid, _, _ in uids[1:])
    if command_class and class_uid != command_class:
        return Verdict(reasons.CLASS_DIFFERS)
    if command_instance and instance != command_instance:
        return Verdict(reasons.INSTANCE_DIFFERS)
    if not identity.sop_class_uid:
        warnings.append("the data set has no SOP Class UID; the one of the command is used")
    return Verdict(None, class_uid, instance, study, series, tuple(dict.fromkeys(warnings)))
