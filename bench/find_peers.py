"""C-FIND beside Orthanc and dcmqrscp: the same few studies in each, of one tiny object, the same questions.

dcmqrscp holds 500 studies of one AE title at most (a constant of its index); Orthanc takes what it is given, as fast as
it syncs. Everything is filled over DICOM, ours too, in the same run. Questions are in the case of the stored values.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from bench import find
from bench.machine import Workplace, note
from bench.ours import Gantry
from bench.peers import Orthanc, Peer, PeerError
from bench.retrieve import Dcmqrscp
from dimse.blocking import connect
from dimse.errors import DimseError
from dimse.identifier import Identifier
from dimse.negotiation import ContextProposal
from dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN

NAMES = ("gantry", "orthanc", "dcmqrscp")
#: DB_UpperMaxStudies of DCMTK's index.
MOST = {"dcmqrscp": 500}


def _peer(name: str, folder: Path, studies: int) -> Peer:
    if name == "gantry":
        return Gantry(name, folder)
    if name == "orthanc":
        return Orthanc(name, folder, DicomAlwaysAllowFind=True, DicomThreadsCount=16)
    return Dcmqrscp(name, folder, studies=studies)


def _tiny(number: int) -> tuple[str, bytes]:
    """The only instance of a study, with the values that `find.FILL` gives it."""
    block, inside = divmod(number, find.BLOCK)
    study = f"{find.ROOT}.{number}"
    values: dict[str, Any] = {
        "SOPClassUID": find.CT, "SOPInstanceUID": f"{study}.1.1", "StudyDate": time.strftime("%Y%m%d", time.gmtime(block * 86400)),
        "StudyTime": f"{number % 24:02}3000", "AccessionNumber": f"A{block:07}-{inside}",
        "Modality": ("CT", "MR", "US", "CR")[number % 4], "StudyDescription": f"CT Thorax {number % 100}",
        "ReferringPhysicianName": "Doe^John", "PatientName": f"{find.letters(block)}^Anna{inside}",
        "PatientID": f"P{block:07}-{inside}", "PatientBirthDate": "19500101", "PatientSex": "F", "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.1", "StudyID": str(number), "SeriesNumber": "1", "InstanceNumber": "1",
    }  # fmt: skip
    return f"{study}.1.1", Identifier(values).encode(IMPLICIT_VR_LITTLE_ENDIAN)


def _fill(peer: Peer, studies: int, limit: float) -> int:
    """Send the studies, one by one as a modality does; how many were taken within `limit` seconds, a multiple of BLOCK."""
    begun = time.perf_counter()
    sent = 0
    contexts = [ContextProposal(find.CT, (IMPLICIT_VR_LITTLE_ENDIAN,))]
    with connect(
        *peer.address, called_aet=peer.called, calling_aet="BENCH", contexts=contexts, response_timeout=60.0
    ) as association:
        for number in range(studies):
            if number % find.BLOCK == 0 and time.perf_counter() - begun > limit:
                note(f"{peer.name}: {number} of {studies} studies after {limit:.0f} s; goes on with these")
                break
            instance, dataset = _tiny(number)
            answer = association.store(
                sop_class_uid=find.CT, sop_instance_uid=instance, transfer_syntax_uid=IMPLICIT_VR_LITTLE_ENDIAN,
                data=memoryview(dataset),
            )  # fmt: skip
            if answer.status != 0:
                raise PeerError(f"{peer.name} answered {answer.status:04X} to study {number}")
            sent = number + 1
    if isinstance(peer, Gantry):
        peer.wait_indexed(sent, time.perf_counter())
        for table in find.TABLES:
            peer.query_nothing(f"VACUUM ANALYZE catalogue_{table}")
    return sent


def _measured(name: str, studies: int, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with _peer(name, folder, studies) as peer:
        begun = time.perf_counter()
        there = _fill(peer, studies, options.fill_seconds)
        note(f"{name}: {there} studies in {time.perf_counter() - begun:.0f} s")
        for askers in (int(count) for count in options.askers.split(",")):
            for case in (case for case in options.keys.split(",") if case in find.CASES):
                for answers in (1, find.BLOCK):
                    question = find.Questions(case, answers, there, called=peer.called, same_case=True)
                    row = {"peer": name, **find.measure(peer.address, question, askers, options.seconds)}
                    rows.append(row)
                    note(
                        f"{name} {there} {case} {answers} x{askers}: {row.get('p50_ms')} / {row.get('p95_ms')} ms "
                        f"{row['errors'][:1] or ''}"
                    )
    return rows


def compare(place: Workplace, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each peer, size, key, number of answers and of askers. What a peer cannot do is in its `errors`."""
    rows: list[dict[str, Any]] = []
    for studies in sorted(int(size) for size in options.peer_studies.split(",") if size):
        for name in options.peers.split(","):
            if name not in NAMES or studies > MOST.get(name, studies):
                continue
            folder = place.fresh(name)
            try:
                rows += _measured(name, studies, folder, options)
            except (PeerError, DimseError, OSError) as error:
                why = f"{type(error).__name__}: {error}"[:600]
                rows.append({"peer": name, "studies": studies, "key": "", "answers": 0, "askers": 0, "errors": [why]})
                note(f"{name}: {why}")
            place.drain(folder)
    return rows
