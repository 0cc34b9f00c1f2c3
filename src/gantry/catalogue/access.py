"""What of the index somebody may see: which studies, and of their patients how much.

Three answers of `accounts.visible` go into each search: which studies are seen at all, of which the patient may be
identified, of which initials and year of birth are shown. What is hidden is not searched either, or one could guess
a name letter by letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, LiteralString, TypeAlias, TypeVar

from gantry.accounts.allowed import Actor
from gantry.accounts.visible import Visible, visible

Level: TypeAlias = Literal["full", "initials", "none"]
_ALL = Visible("everything", everything=True)
#: Attributes of a header that name a patient, or lead to one; those after them are shown with initials.
_IDENTIFYING = frozenset({
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge",
})  # fmt: skip
_LEADING = frozenset({"AccessionNumber", "StudyID", "ReferringPhysicianName"})


@dataclass(frozen=True, slots=True)
class Access:
    """What one search may show. The default shows everything: whoever may use the command line owns the home."""

    seen: Visible = field(default=_ALL)
    identified: Visible = field(default=_ALL)
    initials: Visible = field(default=_ALL)

    @property
    def params(self) -> dict[str, Any]:
        """The named parameters that the conditions use."""
        return {**self.seen.params, **self.identified.params, **self.initials.params}

    def into(self, sql: LiteralString, study: LiteralString) -> LiteralString:
        """A statement of find.sql with its conditions; `study` is the column with the id of the study."""
        level: LiteralString = (
            "CASE WHEN " + self.identified.mark(study) + " THEN 'full' WHEN " + self.initials.mark(study)
            + " THEN 'initials' ELSE 'none' END"
        )  # fmt: skip
        leading: LiteralString = "(" + self.identified.mark(study) + " OR " + self.initials.mark(study) + ")"
        return (
            sql.replace("/* seen */ TRUE", self.seen.condition(study))
            .replace("/* level */ 'full'", level)
            .replace("/* identified */ TRUE", self.identified.mark(study))
            .replace("/* leading */ TRUE", leading)
        )


EVERYTHING = Access()


def access(actor: Actor, action: str = "studies.view") -> Access:
    """What `actor` may see by `action`."""
    return Access(visible(actor, action), visible(actor, "patients.identify"), visible(actor, "patients.initials"))


def initials_of(name: str) -> str:
    """`Doe^Jane` to `D.J.`: of the alphabetic group, family name first, as DICOM writes names (PS3.5 6.2.1)."""
    family, _, rest = name.partition("=")[0].partition("^")
    letters = [part.strip()[:1].upper() for part in (family, rest.partition("^")[0]) if part.strip()]
    return "".join(f"{letter}." for letter in letters)


Found = TypeVar("Found")


def mask_study(study: Any) -> Any:
    """A `StudyListed` with no more of its patient than its level shows."""
    if study.patient_level == "full":
        return study
    initials = study.patient_level == "initials"
    birth = study.patient_birth_date
    hidden = replace(
        study, patient_id="", issuer_of_patient_id="", patient_birth_date=None, patient_sex="",
        patient_name=initials_of(study.patient_name) if initials else "",
        patient_birth_year=birth.year if birth is not None and initials else None,
    )  # fmt: skip
    return hidden if initials else replace(hidden, accession_number="", study_id="", referring_physician_name="")


def mask_header(header: Mapping[str, Any], level: Level) -> dict[str, Any]:
    """The scanned attributes of an instance without those that the level hides."""
    if level == "full":
        return dict(header)
    hidden = _IDENTIFYING if level == "initials" else _IDENTIFYING | _LEADING
    return {keyword: value for keyword, value in header.items() if keyword not in hidden}
