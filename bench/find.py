"""C-FIND at the level of studies on a catalogue of generated studies: p50 and p95 by key, answers and askers.

    python -m bench.find [--studies 10000,100000,1000000] [--askers 1,16] [--seconds 5]
                         [--peers gantry,orthanc,dcmqrscp] [--peer-studies 500,5000] [--try]

Rows are made by INSERT ... SELECT straight in the tables, ten instances a study, then ANALYZE. Every asker is a
process with one association. Times are from before the request is sent to the final answer; answers are counted
and must be as many as the generator says, and are not decoded. The peers are in `find_peers`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench import summary
from bench.machine import Workplace, end_cleanly, note, report
from bench.ours import Gantry
from dimse.blocking import ClientAssociation, connect
from dimse.identifier import Identifier
from dimse.negotiation import STUDY_ROOT_FIND, ContextProposal
from dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN

ROOT = "1.2.826.0.1.3680043.10.1338.9"
#: Studies of one block share their date and the beginnings of their texts.
BLOCK = 50
CHUNK = 50_000
CT = "1.2.840.10008.5.1.4.1.1.2"
_BLOCK_NAME = "translate(lpad((n / 50)::text, 6, '0'), '0123456789', 'BCDFGHJKLM')"

FILL = (
    f"""
INSERT INTO catalogue_patient (patient_id, issuer_of_patient_id, anchor, patient_name, patient_birth_date, patient_sex,
                               name_alphabetic, study_count, created_at)
SELECT 'P' || lpad((n / 50)::text, 7, '0') || '-' || mod(n, 50), '', '', {_BLOCK_NAME} || '^Anna' || mod(n, 50), DATE '1950-01-01' + mod(n, 20000),
       'F', lower({_BLOCK_NAME} || '^Anna' || mod(n, 50)), 1, now()
FROM generate_series(%(first)s::int, %(last)s::int) AS n
""",
    f"""
INSERT INTO catalogue_study (patient_id, study_instance_uid, study_date, study_time, accession_number, study_id, study_description,
  referring_physician_name, institution_name, modalities, series_count, instance_count, size_bytes, conflict_count,
  first_received_at, last_received_at, last_indexed_at, settled_at)
SELECT p.id, '{ROOT}.' || n, DATE '1970-01-01' + n / 50, lpad((mod(n, 24))::text, 2, '0') || '3000', 'A' || lpad((n / 50)::text, 7, '0') || '-' || mod(n, 50),
       n::text, 'CT Thorax ' || mod(n, 100), 'Doe^John', 'Hospital', ARRAY[(ARRAY['CT', 'MR', 'US', 'CR'])[1 + mod(n, 4)]], 1, 10, 5270000, 0,
       now(), now(), now(), now()
FROM generate_series(%(first)s::int, %(last)s::int) AS n
JOIN catalogue_patient p
  ON p.patient_id = 'P' || lpad((n / 50)::text, 7, '0') || '-' || mod(n, 50) AND p.issuer_of_patient_id = '' AND p.anchor = ''
""",
    f"""
INSERT INTO catalogue_series (study_id, series_instance_uid, modality, series_number, series_description, body_part_examined,
  protocol_name, manufacturer, manufacturer_model_name, station_name, series_time, instance_count, size_bytes, first_received_at,
  last_received_at)
SELECT s.id, s.study_instance_uid || '.1', s.modalities[1], 1, 'axial', 'CHEST', '', 'ACME', 'Scanner', 'ST1', '', 10, 5270000, now(), now()
FROM generate_series(%(first)s::int, %(last)s::int) AS n JOIN catalogue_study s ON s.study_instance_uid = '{ROOT}.' || n
""",
    f"""
INSERT INTO catalogue_instance (series_id, sop_instance_uid, sop_class_uid, instance_number, rows, columns, version_count, created_at)
SELECT e.id, e.series_instance_uid || '.' || i, '{CT}', i, 512, 512, 1, now()
FROM generate_series(%(first)s::int, %(last)s::int) AS n
JOIN catalogue_study s ON s.study_instance_uid = '{ROOT}.' || n
JOIN catalogue_series e ON e.study_id = s.id, generate_series(1, 10) AS i
""",
    f"""
INSERT INTO catalogue_version (instance_id, sha256, dataset_offset, dataset_bytes, file_path, file_bytes, transfer_syntax_uid, origin,
  calling_aet, called_aet, remote_address, batch_id, received_at, indexed_at, current, header, warnings)
SELECT i.id, sha256(i.sop_instance_uid::bytea), 400, 527000, 'objects/00/' || i.sop_instance_uid || '.dcm', 527400,
       '1.2.840.10008.1.2.1', 'dimse', 'BENCH', 'GANTRY', '', '00000000-0000-0000-0000-000000000000', now(), now(), true, '{{}}', '{{}}'
FROM generate_series(%(first)s::int, %(last)s::int) AS n
JOIN catalogue_study s ON s.study_instance_uid = '{ROOT}.' || n
JOIN catalogue_series e ON e.study_id = s.id JOIN catalogue_instance i ON i.series_id = e.id
""",
)
TABLES = ("patient", "study", "series", "instance", "version")


def fill(execute: Callable[[str, dict[str, int]], Any], there: int, count: int) -> None:
    """Studies `there` to `count` - 1, in transactions of CHUNK. VACUUM ANALYZE at the end: pages are all-visible."""
    for first in range(there, count, CHUNK):
        for statement in FILL:
            execute(statement, {"first": first, "last": min(first + CHUNK, count) - 1})
        note(f"{min(first + CHUNK, count)} studies")
    for table in TABLES:
        execute(f"VACUUM ANALYZE catalogue_{table}", {})


def letters(block: int) -> str:
    return f"{block:06}".translate(str.maketrans("0123456789", "BCDFGHJKLM"))


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions of one kind to a catalogue of `studies`: by a key, with one answer or a block of them.

    `same_case`: names are asked for as they are stored, for peers that compare them so.
    """

    case: str
    answers: int
    studies: int
    called: str = "GANTRY"
    same_case: bool = False

    def keys(self, number: int) -> dict[str, Any]:
        """The keys that find study `number` alone, or its whole block."""
        block, inside = divmod(number, BLOCK)
        one = self.answers == 1
        match self.case:
            case "study uid":
                whole = [f"{ROOT}.{n}" for n in range(block * BLOCK, (block + 1) * BLOCK)]
                return {"StudyInstanceUID": f"{ROOT}.{number}" if one else whole}
            case "patient id":
                return {"PatientID": f"P{block:07}-{inside}" if one else f"P{block:07}-*"}
            case "accession":
                return {"AccessionNumber": f"A{block:07}-{inside}" if one else f"A{block:07}-*"}
            case "name prefix":
                name = letters(block)
                if self.same_case:
                    return {"PatientName": f"{name}^Anna{inside}" if one else f"{name}*"}
                return {"PatientName": f"{name}^anna{inside}" if one else f"{name.title()}*"}
            case "date":
                day = time.strftime("%Y%m%d", time.gmtime(block * 86400))
                return {"StudyDate": day, "PatientID": f"P{block:07}-{inside}"} if one else {"StudyDate": day}
        raise ValueError(self.case)

    def ask(self, association: ClientAssociation, number: int) -> float:
        """Milliseconds of one query. ValueError when the answers are not those that must come."""
        asked = {**dict.fromkeys(_SHOWN), "QueryRetrieveLevel": "STUDY", **self.keys(number)}
        identifier = Identifier(asked).encode(IMPLICIT_VR_LITTLE_ENDIAN)
        begun = time.perf_counter()
        operation = association.find(identifier, sop_class_uid=STUDY_ROOT_FIND)
        found = sum(1 for _ in operation)
        took = (time.perf_counter() - begun) * 1000
        if found != self.answers or operation.final.status != 0:
            raise ValueError(f"{self.case}: {found} instead of {self.answers} answers, status {operation.final.status:04X}")
        return took


CASES = ("study uid", "patient id", "accession", "name prefix", "date")
_SHOWN = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime",
          "AccessionNumber", "StudyID", "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries",
          "NumberOfStudyRelatedInstances")  # fmt: skip


def _asker(plan: tuple[tuple[str, int], int, Questions, float]) -> tuple[list[float], str]:
    address, seed, questions, seconds = plan
    numbers = random.Random(seed)
    times: list[float] = []
    try:
        with connect(
            *address, called_aet=questions.called, calling_aet="BENCH", response_timeout=60.0,
            contexts=[ContextProposal(STUDY_ROOT_FIND, (IMPLICIT_VR_LITTLE_ENDIAN,))],
        ) as association:  # fmt: skip
            for _ in range(5):  # code and caches are warm
                questions.ask(association, numbers.randrange(questions.studies))
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                times.append(questions.ask(association, numbers.randrange(questions.studies)))
    except Exception as error:
        return times, f"{type(error).__name__}: {error}"
    return times, ""


def measure(address: tuple[str, int], questions: Questions, askers: int, seconds: float) -> dict[str, Any]:
    """One row: percentiles in milliseconds over all askers, questions per second."""
    plans = [(address, seed, questions, seconds) for seed in range(askers)]
    # The askers must not inherit end_cleanly(): the pool ends them with SIGTERM.
    with multiprocessing.get_context("fork").Pool(askers, signal.signal, (signal.SIGTERM, signal.SIG_DFL)) as pool:
        told = pool.map(_asker, plans, chunksize=1)
    times = sorted(took for mine, _ in told for took in mine)
    errors = [error for _, error in told if error]
    row: dict[str, Any] = {
        "studies": questions.studies, "key": questions.case, "answers": questions.answers, "askers": askers, "errors": errors,
    }  # fmt: skip
    if times:
        row |= {
            "queries": len(times), "asked_s": round(len(times) / seconds, 1), "p50_ms": round(times[len(times) // 2], 3),
            "p95_ms": round(times[int(len(times) * 0.95)], 3), "max_ms": round(times[-1], 3),
        }  # fmt: skip
    return row


def _large(place: Workplace, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Our own curve: fill, measure, grow."""
    rows: list[dict[str, Any]] = []
    folder = place.fresh("find")
    with Gantry("gantry", folder) as gantry:
        gantry.query_nothing("SET synchronous_commit = off")
        there = 0
        for studies in sorted(int(size) for size in options.studies.split(",")):
            begun = time.monotonic()
            fill(gantry.query_nothing, there, studies)
            there = studies
            note(f"find: {studies} studies in {time.monotonic() - begun:.0f} s")
            for number in range(options.rounds):
                for askers in (int(count) for count in options.askers.split(",")):
                    for case in options.keys.split(","):
                        for answers in (1, BLOCK):
                            row = measure(gantry.address, Questions(case, answers, studies), askers, options.seconds)
                            rows.append({"round": number, **row})
                            note(
                                f"{studies} {case} {answers} x{askers}: {row.get('p50_ms')} / {row.get('p95_ms')} ms "
                                f"{row['errors'] or ''}"
                            )
    place.drain(folder)
    return rows


def main() -> None:
    """Fill, measure, grow, then beside the peers; one JSON line."""
    from bench import find_peers

    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure C-FIND on generated catalogues.")
    parser.add_argument("--studies", default="10000,100000,1000000", help="sizes, ascending, each a multiple of 50; empty: none")
    parser.add_argument("--askers", default="1,16")
    parser.add_argument("--keys", default=",".join(CASES))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peers", default=",".join(find_peers.NAMES), help="who is compared; empty: nobody")
    parser.add_argument("--peer-studies", default="500,5000", help="sizes of the comparison, each a multiple of 50")
    parser.add_argument("--fill-seconds", type=float, default=300.0, help="a peer that is not filled by then is asked as it is")
    parser.add_argument("--try", action="store_true", dest="trial", help="everything small, to see that it works")
    options = parser.parse_args()
    if options.trial:
        options.studies, options.peer_studies, options.seconds, options.rounds = "1000", "100", 0.3, 1
        options.askers, options.keys = "1,4", "patient id,name prefix"
    with Workplace() as place:
        rows = _large(place, options) if options.studies else []
        beside = find_peers.compare(place, options) if options.peers else []
    report(
        "find",
        options,
        medians=summary.medians(rows, ["studies", "key", "answers", "askers"], "p95_ms"),
        peers=summary.medians(beside, ["peer", "studies", "key", "answers", "askers"], "p95_ms"),
        runs=rows + beside,
    )


if __name__ == "__main__":
    main()
