"""Gantry as user of a node that misbehaves: the truth comes out, nothing is waited for in vain, nothing goes out in plain."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.gantry.nodes.pacs import SERIES, STUDY, Pacs

from dimse.tls import TlsFiles, server_context
from gantry.nodes.commit import commit
from gantry.nodes.echo import echo
from gantry.nodes.errors import BadNode, QueryFailed
from gantry.nodes.fetch import FetchResult, Patience, fetch
from gantry.nodes.find import Found, find
from gantry.nodes.into import IntoFolder
from gantry.nodes.items import Security, SendTarget
from gantry.nodes.probe import changes, probe
from gantry.nodes.profile import NodeProfile
from gantry.nodes.registry import add, check_security

Answers = list[dict[str, str | list[str]]]


def ask(target: SendTarget, level: str, keys: dict[str, str], **options: Any) -> Answers:
    async def run() -> Answers:
        return [answer async for answer in find(target, level, keys, **options)]

    return asyncio.run(run())


def get(target: SendTarget, folder: Path, *uids: str, idle: float = 5.0, deadline: float | None = 20.0) -> FetchResult:
    return asyncio.run(fetch(target, uids or [STUDY], IntoFolder(folder), patience=Patience(idle, deadline)))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# find


def test_answers_that_do_not_fit_are_left_out() -> None:
    seen = Found()
    with Pacs(ignores_keys=True) as pacs:
        assert ask(pacs.target(), "study", {"PatientID": "P-78"}, seen=seen) == []
        assert (seen.dropped, seen.ignored_keys) == (1, {"PatientID": 1})
        assert len(ask(pacs.target(), "study", {"PatientName": "doe*"})) == 1
        assert ask(pacs.target(), "study", {"StudyDate": "20240301-"}) == []


def test_going_down_asks_each_level_with_the_keys_above() -> None:
    with Pacs() as pacs:
        found = ask(pacs.target(), "image", {"PatientID": "P-77"})
    assert {answer["SOPInstanceUID"] for answer in found} == set(pacs.uids)
    assert [query.text("QueryRetrieveLevel") for query in pacs.queries] == ["STUDY", "SERIES", "IMAGE"]
    assert pacs.queries[2].text("StudyInstanceUID") == STUDY
    assert pacs.queries[2].text("SeriesInstanceUID") == SERIES
    assert "PatientID" not in pacs.queries[1], "a key of another level has no place in a hierarchical query"
    assert len(pacs.requests) == 1, "one association for all levels"


def test_relational_queries_where_the_node_agrees() -> None:
    with Pacs(relational=True) as pacs:
        assert len(ask(pacs.target(), "image", {"PatientID": "P-77"})) == 5
    assert [query.text("QueryRetrieveLevel") for query in pacs.queries] == ["IMAGE"]


@pytest.mark.parametrize("how", ["close", "task", "deadline"])
def test_giving_up_releases_the_association_of_a_query_without_end(how: str) -> None:
    async def run(target: SendTarget) -> float:
        answers = find(target, "image", {"StudyInstanceUID": STUDY}, deadline=0.3 if how == "deadline" else None)
        if how == "close":
            await anext(answers)
            began = time.monotonic()
            await answers.aclose()
            return began
        if how == "deadline":
            began = time.monotonic() + 0.3
            with pytest.raises(QueryFailed, match="longer than"):
                async for _ in answers:
                    pass
            return began

        async def forever() -> None:
            async for _ in answers:
                pass

        task = asyncio.create_task(forever())
        await asyncio.sleep(0.3)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return began

    with Pacs(endless=True) as pacs:
        began = asyncio.run(run(pacs.target()))
        while not pacs.ended:
            assert time.monotonic() - began < 60
            time.sleep(0.01)


# fetch


def test_what_was_announced_and_did_not_come_is_named(tmp_path: Path) -> None:
    lost = f"{SERIES}.3"
    with Pacs(lost=frozenset({lost})) as pacs:
        result = get(pacs.target(), tmp_path)
    assert not result.ok
    assert (result.announced, result.received, result.missing) == (5, 4, [lost])
    assert "1 instances did not arrive" in result.error
    assert [asked.text("QueryRetrieveLevel") for asked in pacs.retrieved] == ["STUDY", "IMAGE"], "asked for once more"
    assert pacs.retrieved[1].text("SOPInstanceUID") == lost
    assert len(files_in(tmp_path)) == 4


def test_what_the_node_could_not_read_is_named(tmp_path: Path) -> None:
    bad = f"{SERIES}.2"
    with Pacs(failed=frozenset({bad})) as pacs:
        result = get(pacs.target(), tmp_path)
    assert result.missing == [bad]
    assert not result.ok


def test_a_node_that_cannot_say_what_it_has(tmp_path: Path) -> None:
    bad = f"{SERIES}.2"
    with Pacs(image_level=False) as pacs:
        good = get(pacs.target(), tmp_path / "good")
        pacs.failed = frozenset({bad})
        broken = get(pacs.target(), tmp_path / "bad")
        pacs.refuses_get = True
        refused = get(pacs.target(), tmp_path / "refused")
    assert (good.ok, good.announced, good.received) == (True, None, 5)
    assert not refused.ok
    assert "A701" in refused.error
    assert (broken.ok, broken.received, broken.missing) == (False, 4, [bad])


def test_lists_of_uids_that_are_not_understood(tmp_path: Path) -> None:
    with Pacs(knows_uid_lists=False) as pacs:
        get(pacs.target(), tmp_path, f"{STUDY}/{SERIES}/{SERIES}.1")
        result = get(pacs.target(), tmp_path)
        assert not result.ok, "two lists were refused, and that was said"
        known = SendTarget(pacs.target().address, "GANTRY", quirks=frozenset({"no-uid-lists"}))
        result = get(known, tmp_path)
    assert (result.ok, result.received, result.present) == (True, 4, 1)


def test_a_node_that_falls_silent(tmp_path: Path) -> None:
    with Pacs(stalls_after=2) as pacs:
        began = time.monotonic()
        result = get(pacs.target(), tmp_path, idle=1.0, deadline=50.0)
        took = time.monotonic() - began
        assert not result.ok
        assert len(result.missing) == result.announced - result.received > 0
        assert took < 45, "neither the deadline nor the end of the silence was waited for"
    assert all(not name.startswith(".") for name in files_in(tmp_path)), "no half files"


def test_a_deadline_holds_for_the_whole(tmp_path: Path) -> None:
    with Pacs(stalls_after=2) as pacs:
        result = get(pacs.target(), tmp_path, idle=50, deadline=2.0)
    assert "longer than 2 s" in result.error
    assert result.received == 2
    assert result.missing == [f"{SERIES}.{number}" for number in (3, 4, 5)]


def test_cancel_does_not_wait_for_a_silent_node(tmp_path: Path) -> None:
    async def run(pacs: Pacs) -> float:
        task = asyncio.create_task(fetch(pacs.target(), [STUDY], IntoFolder(tmp_path)))
        assert await asyncio.to_thread(pacs.stalled.wait, 60)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    with Pacs(stalls_after=2) as pacs:
        assert asyncio.run(run(pacs)) < 20
    assert len(files_in(tmp_path)) == 2


def test_other_bytes_under_the_same_name_stay(tmp_path: Path) -> None:
    place = tmp_path / STUDY / SERIES
    with Pacs(count=2) as pacs:
        assert get(pacs.target(), tmp_path).ok
        other = place / f"{SERIES}.2.dcm"
        other.rename(place / "aside.dcm")
        other.write_bytes(b"something else")

        class Blind(IntoFolder):
            def here(self, announced: object) -> set[str]:
                return set()

        result = asyncio.run(fetch(pacs.target(), [STUDY], Blind(tmp_path)))
    assert other.read_bytes() == b"something else"
    assert result.missing == [f"{SERIES}.2"]
    assert "other bytes" in result.refused[f"{SERIES}.2"]
    assert result.received == 1, "the same bytes are no conflict"


def test_a_node_without_c_get(tmp_path: Path) -> None:
    with Pacs(gets=False) as pacs:
        result = get(pacs.target(), tmp_path)
    assert not result.ok
    assert "takes no C-GET" in result.error


# commit


def test_commitment_on_the_same_association() -> None:
    instances = [("1.2.840.10008.5.1.4.1.1.2", f"1.2.3.{number}") for number in range(1, 6)]
    with Pacs() as pacs:
        result = commit(pacs.target(), instances, wait_seconds=5)
        assert result.ok, result
        pacs.commits = lambda uid: 0x0112 if uid == "1.2.3.4" else 0
        result = commit(pacs.target(), instances, wait_seconds=5)
        assert result.failed == {"1.2.3.4": 0x0112}
        assert len(result.committed) == 4
        pacs.reports = False
        result = commit(pacs.target(), instances, wait_seconds=5)
        assert not result.ok
        assert len(result.unanswered) == 5
        assert "refused the request for commitment" in result.error


# probe


def test_a_probe_names_quirks_and_changes() -> None:
    with Pacs(ignores_keys=True) as pacs:
        before = probe(pacs.target())
    with Pacs(gets=False, image_level=False, knows_uid_lists=False) as pacs:
        after = probe(pacs.target())
    assert not before.error
    assert "unique-key-ignored" in before.quirks
    assert "PatientID" in before.keys_ignored
    assert {"no-get", "no-move", "no-image-level"} <= set(after.quirks)
    again = NodeProfile.from_dict(before.as_dict() | {"of a later version": 1})
    assert changes(before, again) == []
    assert any(change.startswith("services: gone") for change in changes(before, after))
    assert "P-77" not in str(before.as_dict())
    assert "DOE" not in str(before.as_dict())


def test_a_probe_of_nobody(free_port: Callable[[], int]) -> None:
    from gantry.nodes.address import DimseAddress

    found = probe(SendTarget(DimseAddress("X", "127.0.0.1", free_port()), "GANTRY", connect_seconds=1))
    assert "nothing listens" in found.error


# TLS and user


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """Certificate, key, fingerprint of a server that nobody vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
         "-out", cert, "-days", "2", "-subj", "/CN=pacs", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    said = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"], check=True, capture_output=True)
    return cert, key, said.stdout.decode().strip().partition("=")[2]


def test_everything_goes_over_tls(certificate: tuple[str, str, str], tmp_path: Path) -> None:
    cert, key, fingerprint = certificate
    tls = server_context(TlsFiles(cert, key), client_certificates="none")
    with Pacs(tls=tls) as pacs:
        pinned = pacs.target(check_security(Security(True, fingerprint=fingerprint)))
        assert echo(pinned).ok
        assert len(ask(pinned, "study", {})) == 1
        assert get(pinned, tmp_path).ok
        assert echo(pacs.target(Security(True, authorities=cert))).ok
        requests = len(pacs.requests)
        wrong = echo(pacs.target(Security(True, fingerprint="ab" * 32)))
        assert not wrong.ok
        assert "certificate" in wrong.explanation
        assert not echo(pacs.target()).ok, "plain towards TLS"
        assert len(pacs.requests) == requests


def test_never_plain_where_tls_is_wanted(certificate: tuple[str, str, str], tmp_path: Path) -> None:
    with Pacs() as pacs:  # a node that speaks plain
        target = pacs.target(Security(True, fingerprint=certificate[2]), connect_seconds=2, response_seconds=2)
        assert not echo(target).ok
        with pytest.raises(QueryFailed):
            ask(target, "study", {})
        assert not get(target, tmp_path).ok
        assert pacs.requests == []


def test_the_user_is_told() -> None:
    with Pacs() as pacs:
        assert echo(pacs.target(Security(user="gantry", passcode="geheim"))).ok
        identity = pacs.requests[0].user.user_identity
        assert identity is not None
        assert (identity.kind, identity.primary, identity.secondary) == (2, b"gantry", b"geheim")
    assert "geheim" not in repr(Security(user="gantry", passcode="geheim"))


@pytest.mark.parametrize(
    "security",
    [
        Security(True),
        Security(False, fingerprint="ab" * 32),
        Security(True, fingerprint="abcd"),
        Security(True, authorities="/nowhere/ca.pem"),
    ],
)
def test_security_that_cannot_work(security: Security) -> None:
    with pytest.raises(BadNode):
        check_security(security)


def test_no_descriptors_are_left(tmp_path: Path) -> None:
    with Pacs() as pacs:
        get(pacs.target(), tmp_path / "0")
        before = len(os.listdir("/proc/self/fd"))
        for number in range(1, 6):
            get(pacs.target(), tmp_path / str(number))
        deadline = time.monotonic() + 30
        while len(os.listdir("/proc/self/fd")) > before + 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.django_db
def test_a_passcode_needs_a_user() -> None:
    with pytest.raises(BadNode, match="without a user"):
        add("pacs", "PACS@127.0.0.1:104", security=Security(passcode="x"))
