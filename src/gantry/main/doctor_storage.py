"""What `gantry doctor` says of volumes and of the scrubber."""

from __future__ import annotations

from collections.abc import Iterator

from gantry.main.findings import Finding
from gantry.main.home import Home


def volumes(home: Home) -> Iterator[Finding]:
    """Each volume of the home, and what the scrubber found and could not mend."""
    from gantry import database
    from gantry.intake import scrub
    from gantry.intake.volumes import levels

    with database.connect(autocommit=True, application="gantry-doctor") as connection:
        found = levels(connection, home.path)
        open_findings = len(scrub.list_findings(connection, home.path, limit=1000))
        state = scrub.status(connection, home.path)
    usable = [one for one in found if one.state == "writing"]
    for one in found:
        subject = f"volume {one.volume.name}"
        if one.state == "missing":
            yield Finding(subject, "problem", one.note, f"Mount it at {one.volume.path}; what lies on it waits, nothing is lost")
        elif one.state == "full" and not usable:
            remedy = "Add a volume with `gantry storage add-volume`, raise its quota, or delete studies"
            yield Finding(subject, "warning", f"it is full: {one.note}; no other volume takes new objects", remedy)
        else:
            free = "" if one.free_bytes is None else f", {one.free_bytes / 1e9:.1f} GB free"
            yield Finding(subject, "fine", f"{one.state}{f' ({one.note})' if one.note else ''}{free}")
    if open_findings:
        yield Finding(
            "stored files", "problem", f"{open_findings} stored files are damaged or missing",
            "`gantry storage scrub --status` names them; a node that has them heals them, or restore a backup",
        )  # fmt: skip
    elif state is not None and state.finished_at is not None:
        yield Finding("stored files", "fine", f"all compared, last on {state.finished_at:%Y-%m-%d %H:%M} UTC")
