"""Write a batch of received objects into the index, in the transaction of the caller.

The rules: bytes that are known already write nothing; other bytes under a known SOP Instance UID become a new,
current version; a study keeps its patient; an instance lies where its newest version says; whoever disagrees
leaves a conflict. What arrives for a study in the trash brings the whole study back first. Counts are exact with any
number of indexers, because each holds the rows of its studies, taken in the order of their UIDs, until it commits. Two
that cross an instance between studies may still meet in a deadlock: then PostgreSQL stops one, and the caller runs its
transaction again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

import psycopg

from gantry import database
from gantry.catalogue import conflicts
from gantry.catalogue import rows as columns
from gantry.catalogue.conflicts import Disagreement
from gantry.catalogue.locate import lookup_versions
from gantry.catalogue.names import search_groups, search_text
from gantry.catalogue.rows import PatientColumns, Raw, VersionRow
from gantry.catalogue.trash import bring_back

Outcome: TypeAlias = Literal["new", "version", "duplicate"]


class Raced(psycopg.errors.SerializationFailure):
    """Somebody removed what this batch was about to use; the caller runs its transaction again."""


@dataclass(frozen=True, slots=True)
class IndexedBatch:
    """What became of the rows, in their order; the studies they touched; how many conflicts are new."""

    outcomes: list[Outcome]
    study_ids: dict[str, int]
    conflicts: int

    @property
    def written(self) -> int:
        """How many rows became versions."""
        return sum(1 for outcome in self.outcomes if outcome != "duplicate")


@dataclass(slots=True)
class _Series:
    uid: str
    first: datetime
    last: datetime
    variants: dict[Raw, None] = field(default_factory=dict)
    id: int = 0


@dataclass(slots=True)
class _Study:
    uid: str
    first: datetime
    last: datetime
    series: dict[str, _Series] = field(default_factory=dict)
    variants: dict[Raw, None] = field(default_factory=dict)
    patients: dict[Raw, VersionRow] = field(default_factory=dict)
    id: int = 0


@dataclass(slots=True)
class _Counts:
    instances: int = 0
    bytes: int = 0
    series: int = 0
    conflicts: int = 0


def index_versions(
    connection: psycopg.Connection[Any], rows: Sequence[VersionRow], *, batch_id: UUID, now: datetime
) -> IndexedBatch:
    """Index up to some hundred objects at once; the caller commits.

    `batch_id` marks the new versions, `now` is the time of indexing. A study with a new version is open again
    (`settled_at` empty). Raises psycopg errors; after DeadlockDetected or SerializationFailure the same call
    may be repeated in a new transaction.
    """
    return _Batch(connection, rows, batch_id, now).run()


class _Batch:
    """The state of one call: what was read, what changes by how much."""

    def __init__(self, connection: psycopg.Connection[Any], rows: Sequence[VersionRow], batch_id: UUID, now: datetime) -> None:
        self.connection = connection
        self.sql = database.statements("gantry.catalogue", "index.sql")
        self.rows = rows
        self.batch_id = batch_id
        self.now = now
        self.outcomes: list[Outcome] = ["duplicate"] * len(rows)
        self.studies: dict[str, _Study] = {}
        self.owners: dict[int, tuple[int, PatientColumns]] = {}  # study id -> patient row id and columns
        self.ids: dict[str, int] = {}  # Study Instance UID -> id
        self.by_study: dict[int, _Counts] = {}
        self.by_series: dict[int, _Counts] = {}
        self.new_studies: dict[int, int] = {}  # patient row id -> number
        self.found: list[Disagreement] = []

    def run(self) -> IndexedBatch:
        known = lookup_versions(self.connection, {row.sop_instance_uid for row in self.rows})
        rounds: list[list[int]] = []
        seen: dict[str, set[bytes]] = {uid: set(place.digests) for uid, place in known.items()}
        turn: dict[str, int] = {}
        for number, row in enumerate(self.rows):
            digests = seen.setdefault(row.sop_instance_uid, set())
            if row.sha256 in digests:
                continue
            digests.add(row.sha256)
            # The second version of an instance inside one batch has to wait for the first.
            index = turn.get(row.sop_instance_uid, 0)
            turn[row.sop_instance_uid] = index + 1
            if index == len(rounds):
                rounds.append([])
            rounds[index].append(number)
        trashed = {place.study_instance_uid for place in known.values() if place.trashed}
        if not rounds:
            if trashed:
                bring_back(self.connection, trashed, now=self.now)
            return IndexedBatch(self.outcomes, {}, 0)
        self._group(number for chosen in rounds for number in chosen)
        self._take_studies({known[uid].study_instance_uid for uid in turn if uid in known} | trashed)
        self._take_series()
        for chosen in rounds:
            self._write_instances(chosen)
        self._compare_patients()
        fresh = conflicts.record(self.connection, self.found, self.now) if self.found else {}
        for study_id, number in fresh.items():
            self._study(study_id).conflicts += number
        self._count()
        touched = {study.uid: study.id for study in self.studies.values()}
        return IndexedBatch(self.outcomes, touched, sum(fresh.values()))

    # What belongs together

    def _group(self, numbers: Iterable[int]) -> None:
        for number in sorted(numbers):
            row = self.rows[number]
            at = row.received_at
            study = self.studies.get(row.study_instance_uid)
            if study is None:
                study = self.studies[row.study_instance_uid] = _Study(row.study_instance_uid, at, at)
            series = study.series.get(row.series_instance_uid)
            if series is None:
                series = study.series[row.series_instance_uid] = _Series(row.series_instance_uid, at, at)
            study.first, study.last = min(study.first, at), max(study.last, at)
            series.first, series.last = min(series.first, at), max(series.last, at)
            study.patients.setdefault(columns.raw(row.header, columns.PATIENT_KEYS), row)
            study.variants[columns.raw(row.header, columns.STUDY_KEYS)] = None
            series.variants[columns.raw(row.header, columns.SERIES_KEYS)] = None

    def _take_studies(self, others: set[str]) -> None:
        """Make the studies that are missing, then hold all that are concerned, in the order of their UIDs."""
        uids = sorted(set(self.studies) | others)
        existing = {row[0] for row in self._all("existing_studies", uids=uids)}
        missing = [self.studies[uid] for uid in uids if uid not in existing]
        if missing:
            self._insert_studies(missing)
        trashed = []
        for id_, uid, patient, *person, in_trash in self._all("lock_studies", uids=uids):
            self.ids[uid] = id_
            self.owners[id_] = patient, PatientColumns(*person)
            if in_trash:
                trashed.append(uid)
            if uid in self.studies:
                self.studies[uid].id = id_
        if self.studies.keys() - self.ids.keys():
            raise Raced("a study or its patient was removed at this moment")
        if trashed:
            bring_back(self.connection, trashed, now=self.now)

    def _insert_studies(self, missing: list[_Study]) -> None:
        people = [columns.patient_columns(next(iter(study.patients)), study.uid) for study in missing]
        keys = sorted({person.key for person in people})
        inserted = self._all(
            "insert_patients", now=self.now, patient_ids=[key[0] for key in keys], issuers=[key[1] for key in keys],
            anchors=[key[2] for key in keys],
        )  # fmt: skip
        taken = self._all(
            "insert_studies", now=self.now, uids=[study.uid for study in missing],
            patient_ids=[person.patient_id for person in people], anchors=[person.anchor for person in people],
            issuers=[person.issuer_of_patient_id for person in people], firsts=[study.first for study in missing],
        )  # fmt: skip
        for (patient,) in taken:
            self.new_studies[patient] = self.new_studies.get(patient, 0) + 1
        if len(taken) < len(missing) and inserted:
            # Another indexer made one of the studies first, for another patient.
            self._run("drop_unused_patients", ids=[row[0] for row in inserted])

    def _take_series(self) -> None:
        wanted = {(study.id, one.uid): one for study in self.studies.values() for one in study.series.values()}
        self._read_series(wanted)
        missing = sorted(key for key, one in wanted.items() if not one.id)
        if missing:
            self._run(
                "insert_series", study_ids=[key[0] for key in missing], uids=[key[1] for key in missing],
                firsts=[wanted[key].first for key in missing],
            )  # fmt: skip
            self._read_series({key: wanted[key] for key in missing})

    def _read_series(self, wanted: dict[tuple[int, str], _Series]) -> None:
        study_ids, uids = [key[0] for key in wanted], [key[1] for key in wanted]
        for id_, study_id, uid in self._all("select_series", study_ids=study_ids, uids=uids):
            wanted[study_id, uid].id = id_

    # Instances and their versions

    def _write_instances(self, chosen: list[int]) -> None:
        chosen.sort(key=lambda number: self.rows[number].sop_instance_uid)
        inserted = self._all("insert_instances", now=self.now, **self._instance_columns(chosen))
        ids: dict[str, int] = {uid: id_ for id_, uid in inserted}
        for number in chosen:
            row = self.rows[number]
            if row.sop_instance_uid in ids:
                self.outcomes[number] = "new"
                study = self.studies[row.study_instance_uid]
                self._add(study.id, study.series[row.series_instance_uid].id, 1, row.dataset_bytes)
        known = [number for number in chosen if self.rows[number].sop_instance_uid not in ids]
        if known:
            ids.update(self._replace(known))
        written = [(ids[self.rows[n].sop_instance_uid], self.rows[n]) for n in chosen if self.outcomes[n] != "duplicate"]
        if written:
            self._copy(written)

    def _instance_columns(self, chosen: list[int]) -> dict[str, Any]:
        rows = [self.rows[number] for number in chosen]
        headers = [row.header for row in rows]
        return {
            "series_ids": [self.studies[r.study_instance_uid].series[r.series_instance_uid].id for r in rows],
            "uids": [row.sop_instance_uid for row in rows],
            "classes": [row.sop_class_uid for row in rows],
            "numbers": [columns.big_int(header.get("InstanceNumber")) for header in headers],
            "frames": [columns.big_int(header.get("NumberOfFrames")) for header in headers],
            "rows": [columns.small_int(header.get("Rows")) for header in headers],
            "columns": [columns.small_int(header.get("Columns")) for header in headers],
        }

    def _replace(self, chosen: list[int]) -> dict[str, int]:
        """New versions of instances that exist; gives their ids. Others may have been faster: look again under the lock."""
        numbers = {self.rows[number].sop_instance_uid: number for number in chosen}
        held = self._all("lock_instances", uids=sorted(numbers))
        digests: dict[int, set[bytes]] = {}
        sizes: dict[int, int] = {}
        for instance_id, digest, size, current in self._all("versions_of_instances", ids=[h[0] for h in held]):
            digests.setdefault(instance_id, set()).add(bytes(digest))
            if current:
                sizes[instance_id] = size
        replaced: list[tuple[int, int]] = []
        for instance_id, uid, series_id, study_id, series_uid, study_uid in held:
            row = self.rows[numbers[uid]]
            if row.sha256 in digests.get(instance_id, ()):
                continue
            self.outcomes[numbers[uid]] = "version"
            replaced.append((numbers[uid], instance_id))
            study = self.studies[row.study_instance_uid]
            self._add(study_id, series_id, -1, -sizes.get(instance_id, 0))
            self._add(study.id, study.series[row.series_instance_uid].id, 1, row.dataset_bytes)
            self._note_versions(row, instance_id, study.id, (study_id, study_uid, series_uid))
        if replaced:
            values = self._instance_columns([number for number, _ in replaced])
            del values["uids"]
            ids = [instance_id for _, instance_id in replaced]
            self._run("update_instances", ids=ids, **values)
            self._run("retire_versions", ids=ids)
        return {uid: instance_id for instance_id, uid, *_ in held}

    def _note_versions(self, row: VersionRow, instance_id: int, study_id: int, old: tuple[int, str, str]) -> None:
        uid = row.sop_instance_uid
        details: dict[str, Any] = {"sha256": row.sha256.hex(), "calling_aet": columns.column(row.calling_aet)}
        self.found.append(Disagreement("bytes", (uid,), study_id, instance_id, details))
        old_study_id, old_study, old_series = old
        if (old_study, old_series) == (row.study_instance_uid, row.series_instance_uid):
            return
        details = {
            "from": {"study_instance_uid": old_study, "series_instance_uid": old_series},
            "to": {
                "study_instance_uid": row.study_instance_uid,
                "series_instance_uid": row.series_instance_uid,
            },
            "calling_aet": columns.column(row.calling_aet),
        }
        # Both studies show it: the one that has the instance now, and the one that lost it.
        for concerned in sorted({study_id, old_study_id}):
            parts = (
                uid,
                old_study,
                old_series,
                row.study_instance_uid,
                row.series_instance_uid,
                str(concerned),
            )
            self.found.append(Disagreement("hierarchy", parts, concerned, instance_id, details))

    def _copy(self, written: list[tuple[int, VersionRow]]) -> None:
        batch, now = str(self.batch_id), self.now.isoformat()
        with self.connection.cursor() as cursor, cursor.copy(self.sql["copy_versions"]) as copy:
            for instance_id, row in written:
                copy.write_row((
                    instance_id, row.sha256, row.dataset_offset, row.dataset_bytes, row.file_path, row.file_bytes,
                    row.transfer_syntax_uid, row.origin, columns.column(row.calling_aet),
                    columns.column(row.called_aet), columns.column(row.remote_address),
                    str(row.association_id) if row.association_id else None, batch, row.received_at.isoformat(), now,
                    "t", columns.header_json(row.header), [columns.storable(text) for text in row.warnings] or "{}",
                    row.volume_id, columns.column(row.move_originator_aet) or None, row.move_originator_id,
                ))  # fmt: skip

    # People and counts

    def _compare_patients(self) -> None:
        """Each patient that a study was sent with, against the one it belongs to; empty fields are filled."""
        people = dict(self.owners.values())
        changed = dict.fromkeys(self.new_studies, 0)
        for study in self.studies.values():
            patient, _ = self.owners[study.id]
            for values, row in study.patients.items():
                kept, arrived = people[patient], columns.patient_columns(values, study.uid)
                conflict = conflicts.compare_patients(study.id, study.uid, kept, arrived, row)
                if conflict is not None:
                    self.found.append(conflict)
                    continue
                people[patient] = conflicts.filled(kept, arrived)
                if people[patient] != kept:
                    changed[patient] = 0
        if not changed:
            return
        ids = sorted(changed)
        searched = [search_groups(people[id_].patient_name) for id_ in ids]
        self._run("lock_patients", ids=ids)
        self._run(
            "update_patients", ids=ids, studies=[self.new_studies.get(id_, 0) for id_ in ids],
            names=[people[id_].patient_name for id_ in ids], alphabetic=[groups[0] for groups in searched],
            ideographic=[groups[1] for groups in searched], phonetic=[groups[2] for groups in searched],
            sexes=[people[id_].patient_sex for id_ in ids],
            birth_dates=[people[id_].patient_birth_date for id_ in ids],
        )  # fmt: skip

    def _add(self, study_id: int, series_id: int, instances: int, size: int) -> None:
        for counts in (self._study(study_id), self.by_series.setdefault(series_id, _Counts())):
            counts.instances += instances
            counts.bytes += size

    def _study(self, study_id: int) -> _Counts:
        return self.by_study.setdefault(study_id, _Counts())

    def _count(self) -> None:
        self._count_series()
        arrived = {study.id: study for study in self.studies.values()}
        ids = sorted(self.by_study)
        values = [_merge(map(columns.study_columns, arrived[id_].variants)) if id_ in arrived else None for id_ in ids]
        date, time, accession, number, description, physician, institution = _transpose(values, 7)
        counts = [self.by_study[id_] for id_ in ids]
        here = [arrived.get(id_) for id_ in ids]
        self._run(
            "update_studies", now=self.now, ids=ids, instances=[c.instances for c in counts],
            bytes=[c.bytes for c in counts], series=[c.series for c in counts],
            conflicts=[c.conflicts for c in counts], modalities=[_modalities(study) for study in here],
            firsts=[study and study.first for study in here], lasts=[study and study.last for study in here],
            dates=date, times=time, accessions=accession, study_ids=number, descriptions=description,
            physicians=physician, physician_searches=[search_text(name or "") for name in physician],
            institutions=institution,
        )  # fmt: skip

    def _count_series(self) -> None:
        arrived = {one.id: one for study in self.studies.values() for one in study.series.values()}
        ids = sorted(self.by_series)
        here = [arrived.get(id_) for id_ in ids]
        values = [_merge(map(columns.series_columns, one.variants)) if one else None for one in here]
        modality, number, description, part, protocol, maker, model, station, date, time = _transpose(values, 10)
        changed = self._all(
            "update_series", ids=ids, instances=[self.by_series[id_].instances for id_ in ids],
            bytes=[self.by_series[id_].bytes for id_ in ids], firsts=[one and one.first for one in here],
            lasts=[one and one.last for one in here], modalities=modality, numbers=number, descriptions=description,
            body_parts=part, protocols=protocol, manufacturers=maker, models=model, stations=station, dates=date,
            times=time,
        )  # fmt: skip
        for study_id, count, change in changed:
            self._study(study_id).series += (count > 0) - (count - change > 0)

    # Statements

    def _all(self, name: str, **values: Any) -> list[Any]:
        return self.connection.execute(self.sql[name], values).fetchall()

    def _run(self, name: str, **values: Any) -> None:
        self.connection.execute(self.sql[name], values)


def _merge(variants: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The first value that is not empty, column by column."""
    return tuple(next((value for value in values if value), None) for values in zip(*variants, strict=True))


def _transpose(values: Sequence[tuple[Any, ...] | None], width: int) -> list[list[Any]]:
    return [[row[index] if row else None for row in values] for index in range(width)]


def _modalities(study: _Study | None) -> str:
    if study is None:
        return ""
    named = {columns.column(values[0]) for one in study.series.values() for values in one.variants}
    return "\\".join(sorted(named - {""}))
