"""Lists under access control: one page of 100 studies for people who see all, an institute, or 200 granted studies.

    python -m bench.access [--studies 100000] [--grants 200] [--rounds 3] [--try]

Words are asked for that all studies have, a ninth, a fiftieth, fifty and one; the counts beside the list (facets) too.
A home of its own with the embedded PostgreSQL. Studies are made by INSERT ... SELECT, one a second, each in one
of 20 institutes, half of them in a 21st too; then ANALYZE. Times are of `search_studies` (SQL, rows, masking) and of
GET /api/v1/studies in this process (token, places, search, JSON). Answers are counted and compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.find import FILL as INDEX
from bench.find import ROOT, letters
from bench.machine import note, report

INSTITUTES = 20
#: Words that so many of the studies have: all, 11 %, 2 %, 50 and 1.
WORDS = {
    "words of all": "thorax",
    "words of 11 %": "thorax 7",
    "words of 2 %": "anna7",
    "words of 50": letters(7),
    "word of 1": "id:P0000007-7",
}
FILL = (
    *INDEX[:2],
    "UPDATE catalogue_study SET last_received_at = TIMESTAMPTZ '2026-01-01' + id * INTERVAL '1 second'",
    "INSERT INTO accounts_institute (name, all_studies, description) SELECT 'I' || n, false, '' FROM generate_series(1, 21) AS n",
    f"INSERT INTO accounts_belonging (institute_id, study_id) SELECT 1 + mod(id, {INSTITUTES}), id FROM catalogue_study",
    f"INSERT INTO accounts_belonging (institute_id, study_id) SELECT {INSTITUTES + 1}, id FROM catalogue_study WHERE mod(id, 2) = 0",
)
AFTER = ("VACUUM ANALYZE catalogue_study", "VACUUM ANALYZE catalogue_patient", "VACUUM ANALYZE accounts_belonging",
         "VACUUM ANALYZE accounts_grant")  # fmt: skip


def _people(studies: int, grants: int) -> dict[str, Any]:
    """A token for each kind of reader; who sees little is the hard case, for the newest studies are not theirs."""
    from gantry.accounts import institutes, people, tokens
    from gantry.accounts.models import Grant, Institute
    from gantry.audit.record import SYSTEM

    made: dict[str, Any] = {}
    for name, role, places in (
        ("everything", "clinician", []), ("200 grants", "none", ["empty"]), ("a twentieth and 200 grants", "none", ["I7"]),
        ("a half and 200 grants", "none", ["I21"]), ("viewer: a half, masked", "none", ["I21"]),
    ):  # fmt: skip
        username = f"u{len(made)}"
        user = people.add(people.Person(username, role=role), SYSTEM)
        for place in places:
            if not Institute.objects.filter(name=place).exists():
                institutes.add(place, SYSTEM)
            institutes.set_member(place, username, "viewer" if "masked" in name else "clinician", SYSTEM)
        if "grants" in name:  # the oldest studies: far from where the list begins
            step = max(1, studies // 4 // grants)
            Grant.objects.bulk_create(Grant(study_id=1 + n * step, user=user) for n in range(grants))
        made[name] = tokens.create(user, "bench")[1]
    return made


def _times(ask: Any, rounds: int) -> dict[str, float]:
    ask()
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        ask()
        times.append((time.perf_counter() - begun) * 1000)
    times.sort()
    return {"p50_ms": round(statistics.median(times), 2), "p95_ms": round(times[int(len(times) * 0.95)], 2)}


def _measure(plaintext: str, rounds: int) -> dict[str, Any]:
    """The first page, a page by name and the last page of one reader."""
    from django.test import Client

    from gantry.accounts import connection, tokens
    from gantry.catalogue import Wanted, search_studies
    from gantry.catalogue.access import access
    from gantry.catalogue.facets import count_facets

    actor = tokens.look_up(plaintext)
    assert actor is not None
    may, psycopg = access(actor), connection.of_request()
    client = Client(SERVER_NAME="localhost", headers={"authorization": f"Bearer {plaintext}"})
    page = client.get("/api/v1/studies").json()
    result: dict[str, Any] = {"shown": len(page["items"]), "level": page["items"][0]["patient_level"] if page["items"] else ""}
    result["first page"] = _times(lambda: search_studies(psycopg, Wanted(), access=may), rounds)
    result["one modality"] = _times(lambda: search_studies(psycopg, Wanted(modalities=("US",)), access=may), rounds)
    for name, words in WORDS.items():
        ask = partial(search_studies, psycopg, Wanted(text=words), access=may)
        result[name] = {**_times(ask, rounds), "shown": len(ask().items)}
    for name, wanted in (
        ("facets", Wanted()),
        ("facets of words of 11 %", Wanted(text="thorax 7")),
        ("facets, narrowed twice", Wanted(modalities=("US",), received="year")),
    ):
        result[name] = _times(partial(count_facets, psycopg, wanted, actor=actor, access=may), max(5, rounds // 4))
    result["http first page"] = _times(lambda: client.get("/api/v1/studies"), rounds)
    return result


def _run(studies: int, grants: int, rounds: int, folder: Path) -> dict[str, Any]:
    from gantry import config
    from gantry.main import session

    os.environ["GANTRY_HOME"] = str(folder)
    with session.opened(config.use(config.load(folder))):
        from django.db import connection

        with connection.cursor() as cursor:
            for statement in FILL:
                cursor.execute(statement, {"first": 1, "last": studies} if "%(" in statement else None)
            note(f"{studies} studies ({ROOT})")
            made = _people(studies, grants)
            for statement in AFTER:
                cursor.execute(statement)
        cases = {}
        for name, plaintext in made.items():
            cases[name] = _measure(plaintext, rounds)
            note(f"{name}: {cases[name]}")
    return {"cases": cases}


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.access", description="Lists under access control.")
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--grants", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="of twenty pages each")
    parser.add_argument("--try", dest="attempt", action="store_true")
    given = parser.parse_args()
    studies, grants, rounds = (1000, 20, 5) if given.attempt else (given.studies, given.grants, given.rounds * 20)
    with tempfile.TemporaryDirectory(prefix="gantry-bench-access-") as folder:
        report("access", given, **_run(studies, grants, rounds, Path(folder) / "home"))


if __name__ == "__main__":
    main()
