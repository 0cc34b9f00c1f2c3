"""Which objects may be indexed: a table."""

from __future__ import annotations

import pytest

from gantry.dataset import Identity
from gantry.intake import judge, reasons

CT = "1.2.840.10008.5.1.4.1.1.2"


def identity(
    cls: str | None = CT, sop: str | None = "1.2.3", study: str | None = "1.2", series: str | None = "1.2.1"
) -> Identity:
    return Identity(cls, sop, study, series, True)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (identity(), None),
        (identity(sop="1.2.3.04"), None),
        (identity(sop="1" * 64), None),
        (identity(sop=None), reasons.INSTANCE_MISSING),
        (identity(sop=""), reasons.INSTANCE_MISSING),
        (identity(sop="1" * 65), reasons.INSTANCE_INVALID),
        (identity(sop="../../etc/passwd"), reasons.INSTANCE_INVALID),
        (identity(sop="1..2"), reasons.INSTANCE_INVALID),
        (identity(sop="1.2\n"), reasons.INSTANCE_INVALID),
        (identity(sop="\uff11.\uff12"), reasons.INSTANCE_INVALID),
        (identity(study=None), reasons.STUDY_MISSING),
        (identity(study="."), reasons.STUDY_INVALID),
        (identity(series=None), reasons.SERIES_MISSING),
        (identity(series="1.2\\1.3"), reasons.SERIES_INVALID),
        (identity(cls="CT"), reasons.CLASS_INVALID),
        (identity(cls=None), reasons.CLASS_MISSING),
    ],
)
def test_the_data_set_alone(found: Identity, reason: reasons.Reason | None) -> None:
    verdict = judge(found)
    assert verdict.reason is reason
    assert verdict.accepted is (reason is None)
    assert (verdict.dimse_status == 0) is verdict.accepted


def test_against_the_command() -> None:
    assert judge(identity(), command_sop_class=CT, command_sop_instance="1.2.3\0").accepted
    differs = judge(identity(), command_sop_class=CT, command_sop_instance="1.2.4")
    assert differs.dimse_status & 0xFF00 == 0xA900
    assert judge(identity(), command_sop_class="1.2", command_sop_instance="1.2.3").reason is reasons.CLASS_DIFFERS
    without = judge(identity(cls=None), command_sop_class=CT, command_sop_instance="1.2.3")
    assert without.sop_class_uid == CT
    assert len(without.warnings) == 1


def test_a_leading_zero_is_only_a_warning() -> None:
    assert judge(identity(sop="1.02.3", study="1.02")).warnings == ("a UID has a component with a leading zero",)
    assert judge(identity(sop="1.0.3")).warnings == ()


def test_reasons_fit_a_response_and_are_told_apart() -> None:
    assert (
        len({reason.code for reason in reasons.ALL}) == len(reasons.ALL) == len({reason.dimse_status for reason in reasons.ALL})
    )
    for reason in reasons.ALL:
        assert len(reason.text) <= 64, "PS3.7 C.4.2, Error Comment is LO"
        assert reason.dimse_status >> 8 == 0xA9 or reason.dimse_status >> 12 == 0xC
