"""What 200 rules add to the way of an instance: deciding alone, and the routed path on a real PostgreSQL.

    python -m bench.rules [--rules 200] [--rate 1000] [--seconds 8]

Rules of all kinds (trees, wildcards, ranges, regular expressions, networks, times), about five of which match an
instance. `decide`: microseconds for one instance whose values nobody has seen before, and for the next of a series.
`route`: batches are committed at the rate, and the queue function of the worker routes each; milliseconds from the
commit until the deliveries and the reasons are committed: with one rule that takes everything, with as many of these
as match on average (the same deliveries, nothing to decide), and with all. `added` is the difference of the p95.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import statistics
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from bench.machine import Workplace, end_cleanly, note, report

NODES = 10
STATIONS = 50
STUDY = 100  # instances
_BATCHES_PER_SECOND = 20
ROOT = "1.2.826.0.1.3680043.10.1338.8"


def everything(count: int) -> list[dict[str, Any]]:
    """`count` rules that take everything, each to a node of its own: as many deliveries, and nothing to decide."""
    return [{"name": f"all-{number}", "to": [f"node{number}"], "when": []} for number in range(count)]


def rule_set(count: int) -> list[dict[str, Any]]:
    """`count` rules as `rules.make` takes them; the first takes everything."""
    kinds = (
        "Modality={modality} and StationName=ST{n}",
        "Modality={modality},SR and (StationName=ST{n} or CallingAET=AE{n}*) and not StudyDescription=*Phantom*",
        "StudyDescription=*THORAX-{n}* and StudyDate=20200101-20301231",
        "PatientID~^P{n}[0-9]+$ and Modality={modality}",
        "address 10.{n}.0.0/16 and time 22:00-06:00",
        "StationName=ST{n} and weekday mon-fri or InstanceNumber=9{n}-",
        "Rows=512-1024 and ImageType=ORIGINAL and ProtocolName=Prot{n}*",
        "BodyPartExamined=CHEST,ABDOMEN and Manufacturer=ACME* and SeriesNumber=1{n}",
    )
    found: list[dict[str, Any]] = [{"name": "all", "to": ["node0"], "when": []}]
    for number in range(1, count):
        when = kinds[number % len(kinds)].format(n=number % STATIONS, modality=("CT", "MR", "US", "CR")[number % 4])
        found.append({"name": f"rule-{number}", "to": [f"node{number % NODES}"], "when": [when]})
    return found


def header(study: int, number: int) -> dict[str, Any]:
    """As the scanner leaves it."""
    chance = random.Random(study)
    station = chance.randrange(STATIONS)
    modality = chance.choice(("CT", "MR", "US", "CR"))
    uid = f"{ROOT}.{study}"
    return {
        "SpecificCharacterSet": "ISO_IR 100", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "SOPInstanceUID": f"{uid}.1.{number}", "StudyDate": "20260315", "SeriesDate": "20260315", "ContentDate": "20260315",
        "StudyTime": "101500", "SeriesTime": "101600", "AccessionNumber": f"A{study}", "Modality": modality, "Manufacturer": "ACME Imaging",
        "InstitutionName": "General Hospital", "ReferringPhysicianName": "Doe^John", "StationName": f"ST{station}",
        "StudyDescription": f"CT THORAX-{station} native", "SeriesDescription": "axial 1.0", "ManufacturerModelName": "Scanner",
        "PatientName": f"Test^{study}", "PatientID": f"P{station}{study}", "PatientBirthDate": "19700101", "PatientSex": "F",
        "PatientAge": "056Y", "BodyPartExamined": "CHEST", "ProtocolName": f"Prot{station} x", "StudyInstanceUID": uid,
        "SeriesInstanceUID": f"{uid}.1", "StudyID": str(study), "SeriesNumber": "2", "AcquisitionNumber": "1", "InstanceNumber": str(number),
        "PhotometricInterpretation": "MONOCHROME2", "Rows": "512", "Columns": "512", "BitsAllocated": "16",
    }  # fmt: skip


def percentiles(times: list[float], scale: float) -> dict[str, float]:
    """p50, p95, max."""
    ordered = sorted(times)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * scale, 3)  # noqa: E731
    return {"p50": at(0.5), "p95": at(0.95), "max": at(1.0)}


def decide(count: int, studies: int) -> dict[str, Any]:
    """Microseconds per instance, for the first of each study and for those after it; rules that matched on average."""
    from gantry.routing.compiled import Decider
    from gantry.routing.load import resolve
    from gantry.routing.route import values_of
    from gantry.routing.rules import make

    specs = [make(one["name"], to=one["to"], when=one["when"]) for one in rule_set(count)]
    active = resolve(specs, 1, {f"node{number}": number for number in range(NODES)})
    first: list[float] = []
    next_: list[float] = []
    batches: list[float] = []
    matched = 0
    now = datetime.now(UTC)
    decider = Decider(active.compiled("arrived"))
    for study in range(studies):
        spent = 0.0
        for number in range(50):
            values = values_of(header(study, number), f"AE{study % STATIONS}", "GANTRY", "10.7.1.2", "dimse", now, known={})
            begun = time.perf_counter()
            matched += len(decider.decide(values))
            took = time.perf_counter() - begun
            (next_ if number else first).append(took)
            spent += took
        batches.append(spent)
    return {
        "first_us": percentiles(first, 1e6),
        "next_us": percentiles(next_, 1e6),
        "batch_ms": percentiles(batches, 1e3),
        "matched": round(matched / studies / 50, 2),
    }


class Arrivals:
    """Makes studies and commits batches of versions straight into the tables, as the indexer leaves them."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._count = 0
        self._series: int | None = None

    def batch(self, size: int) -> uuid.UUID:
        """Commit a batch."""
        identifier = uuid.uuid4()
        rows = []
        for _ in range(size):
            if self._count % STUDY == 0:
                self._series = self._study(self._count // STUDY)
            rows.append((self._series, *self._version(identifier)))
            self._count += 1
        execute = self._connection.execute
        ids = [row[0] for row in execute(
            "INSERT INTO catalogue_instance (series_id, sop_instance_uid, sop_class_uid, version_count, created_at) "
            "SELECT s, u, '1.2.840.10008.5.1.4.1.1.2', 1, now() FROM unnest(%s::bigint[], %s::text[]) AS r (s, u) RETURNING id",
            [[row[0] for row in rows], [row[1] for row in rows]],
        ).fetchall()]  # fmt: skip
        execute(
            "INSERT INTO catalogue_version (instance_id, sha256, dataset_offset, dataset_bytes, file_path, file_bytes, transfer_syntax_uid, "
            "origin, calling_aet, called_aet, remote_address, batch_id, received_at, indexed_at, current, header, warnings) "
            "SELECT i, sha256(u::bytea), 400, 527000, 'objects/00/' || u, 527400, '1.2.840.10008.1.2.1', 'dimse', 'AE7', 'GANTRY', "
            "'10.7.1.2', %s, now(), now(), true, h::jsonb, '{}' FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS r (i, u, h)",
            [identifier, ids, [row[1] for row in rows], [row[2] for row in rows]],
        )
        self._connection.commit()
        return identifier

    def _study(self, number: int) -> int:
        uid = f"{ROOT}.{uuid.uuid4().int >> 96}.{number}"
        execute = self._connection.execute
        patient = execute(
            "INSERT INTO catalogue_patient (patient_id, issuer_of_patient_id, anchor, patient_name, patient_sex, study_count, created_at) "
            "VALUES (%s, '', '', 'Test', '', 1, now()) RETURNING id", [uid],
        ).fetchone()[0]  # fmt: skip
        study = execute(
            "INSERT INTO catalogue_study (patient_id, study_instance_uid, study_time, accession_number, study_id, study_description, "
            "referring_physician_name, institution_name, modalities, series_count, instance_count, size_bytes, conflict_count, "
            "first_received_at, last_received_at) VALUES (%s, %s, '', '', '', '', '', '', '{CT}', 1, 100, 0, 0, now(), now()) RETURNING id",
            [patient, uid],
        ).fetchone()[0]  # fmt: skip
        return int(execute(
            "INSERT INTO catalogue_series (study_id, series_instance_uid, modality, series_description, body_part_examined, protocol_name, "
            "manufacturer, manufacturer_model_name, station_name, series_time, instance_count, size_bytes, first_received_at, last_received_at) "
            "VALUES (%s, %s, 'CT', '', '', '', '', '', '', '', 100, 0, now(), now()) RETURNING id", [study, uid + ".1"],
        ).fetchone()[0])  # fmt: skip

    def _version(self, identifier: uuid.UUID) -> tuple[str, str]:
        values = header(self._count // STUDY, self._count % STUDY)
        return f"{ROOT}.{identifier.int >> 64}.{self._count}", json.dumps(values)


def route(name: str, chosen: list[dict[str, Any]], rate: int, seconds: float) -> dict[str, Any]:
    """Milliseconds from the commit of a batch to its routed end, at `rate` instances a second; how late the last one was."""
    from gantry import database
    from gantry.routing import rules, versions, work

    specs = [rules.make(one["name"], to=one["to"], when=one["when"]) for one in chosen]
    versions.change_active(lambda _: specs, note=name)
    waiting: queue.Queue[tuple[float, uuid.UUID] | None] = queue.Queue()
    times: list[float] = []

    def worker() -> None:
        while (one := waiting.get()) is not None:
            work.route_arrived.func(batch_id=str(one[1]))
            times.append(time.perf_counter() - one[0])

    thread = threading.Thread(target=worker)
    thread.start()
    size = rate // _BATCHES_PER_SECOND
    with database.connect() as connection:
        arrivals = Arrivals(connection)
        begun = time.perf_counter()
        for number in range(int(seconds * _BATCHES_PER_SECOND)):
            identifier = arrivals.batch(size)
            waiting.put((time.perf_counter(), identifier))
            time.sleep(max(0.0, begun + (number + 1) / _BATCHES_PER_SECOND - time.perf_counter()))
        took = time.perf_counter() - begun
        waiting.put(None)
        thread.join()
    warm = times[_BATCHES_PER_SECOND:]
    return {
        "case": name,
        "rules": len(chosen),
        "instances": len(times) * size,
        "per_s": round(len(times) * size / took),
        "ms": percentiles(warm, 1e3),
    }


def main() -> None:
    """Measure in turns; one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="What many rules add to the way of an instance.")
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--rate", type=int, default=1000, help="arrivals per second")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--try", action="store_true", dest="trial", help="everything small, to see that it works")
    options = parser.parse_args()
    if options.trial:
        options.seconds, options.rounds = 2.0, 1
    with Workplace() as place:
        folder = place.fresh("rules")
        from gantry import config
        from gantry.main import session

        settings = config.load(folder / "h", {})
        with session.opened(settings):
            from gantry.nodes import registry
            from gantry.routing.connections import close_all

            for number in range(NODES):
                registry.add(f"node{number}", "SINK@127.0.0.1:104", enabled=False)
            alone = decide(options.rules, 50 if options.trial else 500)
            note(f"decide: {alone}")
            same = max(1, round(alone["matched"]))
            runs: list[dict[str, Any]] = []
            for number in range(options.rounds):
                for name, chosen in (
                    ("one", everything(1)), ("same", everything(same)), ("many", rule_set(options.rules)),
                ):  # fmt: skip
                    runs.append({"round": number, **route(name, chosen, options.rate, options.seconds)})
                    note(f"route: {runs[-1]}")
            close_all()
        place.drain(folder)
    p95 = {name: [run["ms"]["p95"] for run in runs if run["case"] == name] for name in ("one", "same", "many")}
    added = {
        f"added_to_{name}_p95_ms": round(statistics.median(b - a for a, b in zip(p95[name], p95["many"], strict=True)), 3)
        for name in ("one", "same")
    }
    report("rules", options, decide=alone, **added, runs=runs)


if __name__ == "__main__":
    main()
