"""`gantry find`, `fetch`, `commit`: ask other nodes, take from them, have them commit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gantry.main import cli_audit, cli_output
from gantry.main.cli_context import connected, house, load
from gantry.main.cli_nodes import target
from gantry.main.cli_output import JsonOption

if TYPE_CHECKING:
    from gantry.nodes.fetch import FetchResult, How
    from gantry.nodes.find import Found
    from gantry.nodes.items import SendTarget
    from gantry.nodes.question import Answer

NodeArgument = Annotated[str, typer.Argument(metavar="NODE|AET@HOST:PORT", help="A node, or an address.")]
LevelOption = Annotated[Literal["patient", "study", "series", "image"], typer.Option("--level", help="What to look for.")]
SecondsOption = Annotated[float | None, typer.Option("--seconds", min=0.1, help="Give up after so many seconds.")]
_COLUMNS = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": ("PatientID", "PatientName", "StudyDate", "ModalitiesInStudy", "StudyDescription", "AccessionNumber",
              "NumberOfStudyRelatedInstances", "StudyInstanceUID"),
    "SERIES": ("Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances", "SeriesInstanceUID"),
    "IMAGE": ("InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
}  # fmt: skip
_SHOWN = 20


def find(
    node: NodeArgument,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="As in PatientName=DOE*.")] = None,
    level: LevelOption = "study",
    show: Annotated[list[str] | None, typer.Option("--show", metavar="KEY", help="Ask for this attribute (repeat).")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    seconds: SecondsOption = None,
    json: JsonOption = False,
) -> None:
    """Ask a node what it has (C-FIND). Answers that do not fit what was asked are left out."""
    from gantry.nodes.find import Found
    from gantry.nodes.question import Question, parse_keys

    question = Question.of(level, parse_keys(keys or ()), tuple(show or ()))
    seen = Found()
    with cli_output.progress("Asking", quiet=json) as advance:
        answers = asyncio.run(_find(target(node), question, limit, seconds, (seen, advance)))
    if json:
        cli_output.print_json(answers)
        return
    columns = tuple(dict.fromkeys([*(show or ()), *([] if show else _COLUMNS[question.level])]))
    cli_output.print_table(
        columns,
        ([answer.get(column, "") for column in columns] for answer in answers),
        empty="The node has nothing that fits.",
    )
    if seen.cut:
        cli_output.note(f"There may be more: stopped after {limit}.")
    if seen.dropped:
        keywords = ", ".join(sorted(seen.ignored_keys))
        cli_output.note(f"{seen.dropped} answers did not fit what was asked ({keywords}) and are left out.")
    if seen.unreadable:
        cli_output.note(f"{seen.unreadable} answers could not be read.")


async def _find(
    where: SendTarget, question: Any, limit: int | None, seconds: float | None, told: tuple[Found, Any]
) -> list[Answer]:
    from gantry.nodes.find import find as ask

    answers: list[Answer] = []
    seen, advance = told
    asked = ask(where, question.level, question.keys, wanted=question.wanted, limit=limit, deadline=seconds, seen=seen)
    async with contextlib.aclosing(asked) as found:
        async for answer in found:
            answers.append(answer)
            advance(1)
    return answers


def fetch(
    node: NodeArgument,
    uids: Annotated[list[str], typer.Argument(metavar="STUDY[/SERIES[/INSTANCE]]...", help="What, by UIDs.")],
    to: Annotated[str, typer.Option("--to", metavar="home|PATH", help="Into the home, or into a folder.")] = "home",
    how: Annotated[Literal["auto", "get", "move"], typer.Option("--how", help="C-GET, C-MOVE, or what works.")] = "auto",
    associations: Annotated[
        int | None, typer.Option("--associations", min=1, max=64, help="Most at once; as a rule the node's own number.")
    ] = None,
    idle: Annotated[float, typer.Option("--idle-seconds", min=0.5, help="Longest silence inside an instance.")] = 60.0,
    seconds: SecondsOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch studies, series or instances from a node. Exit status 0 only if all that it announced is here."""
    from gantry.nodes.fetch import Patience

    where = target(node)
    patience = Patience(idle, seconds)
    cli_audit.note_act("node.fetch", node, len(uids), study_uid=uids[0].partition("/")[0])
    with contextlib.ExitStack() as stack:
        into, destination = _into(to, how, stack)
        lanes, remember = _lanes(node, associations)
        result = _run_fetch(where, uids, into, (how, destination, patience, lanes), json=json)
        if result.ok and result.received:
            remember()
    if json:
        cli_output.print_json({**cli_output.plain(result), "ok": result.ok})
    else:
        _print_fetch(result, to)
    raise typer.Exit(0 if result.ok else 1)


def _into(to: str, how: str, stack: contextlib.ExitStack) -> tuple[Any, str]:
    """Where instances go, and our AE title as a destination of C-MOVE when something may listen there."""
    from gantry.main.home import Home, is_claimed

    settings = load()
    if to != "home" and (how == "get" or not is_claimed(Home(settings.home))):
        from gantry.nodes.into import IntoFolder

        return IntoFolder(Path(to).expanduser()), ""
    home = stack.enter_context(house())
    from gantry.intake.await_index import await_index
    from gantry.nodes.into import IntoHome

    if to != "home":
        from gantry.nodes.through_home import IntoFolderThroughHome

        return IntoFolderThroughHome(
            Path(to).expanduser(), home.path, lambda is_done: await_index(home.path, is_done)
        ), settings.aet

    into = IntoHome(home.path, lambda is_done: await_index(home.path, is_done))
    # Lets the empty slot go where no instance is running.
    stack.callback(await_index, home.path, lambda: True)
    stack.callback(into.close)
    return into, settings.aet if how == "move" or is_claimed(home) else ""


def _lanes(name: str, most: int | None) -> tuple[Any, Callable[[], None]]:
    """How many associations a fetch may open, and what keeps the number that was good."""
    from gantry.nodes.lanes import parallel_of, remember
    from gantry.nodes.parallel import Parallel

    if "@" in name:
        return Parallel(most or 1, 1), lambda: None
    with house(create=False):
        from gantry.nodes import registry

        node = registry.get(name)
        known = parallel_of(node)
    lanes = known if most is None else Parallel(most, min(most, known.limit))

    def keep() -> None:
        with house(create=False):
            remember(node, lanes)

    return lanes, keep


def _run_fetch(where: SendTarget, uids: Sequence[str], into: Any, ways: tuple[How, str, Any, Any], *, json: bool) -> FetchResult:
    from gantry.nodes.fetch import fetch as run

    how, destination, patience, lanes = ways
    with _bar("Fetching", quiet=json) as show:
        running = run(where, uids, into, how=how, destination=destination, patience=patience, on_count=show, parallel=lanes)
        return asyncio.run(running)


@contextlib.contextmanager
def _bar(label: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on stderr whose total becomes known on the way; gives a function that sets it."""
    if quiet or not cli_output.err.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=cli_output.err, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_fetch(result: FetchResult, to: str) -> None:
    if result.error and result.announced is None and not (result.received or result.missing):
        cli_output.note(f"Nothing was fetched: {result.error}")  # nobody needs to hear what else is zero
        cli_output.note(result.remedy)
        return
    place = "the home" if to == "home" else to
    ways = " and ".join(f"C-{way.upper()}" for way in result.how) or "nothing to do"
    cli_output.note(
        f"{result.received} instances fetched into {place} in {result.seconds:.1f} s ({ways}); {result.present} were here."
    )
    if result.announced is None:
        cli_output.note("The node could not say which instances it has: nothing proves that these are all.")
    for uid in result.missing[:_SHOWN]:
        cli_output.out.print(f"missing {uid}")
    if len(result.missing) > _SHOWN:
        cli_output.note(f"... and {len(result.missing) - _SHOWN} more; --json names all")
    for uid, reason in list(result.refused.items())[:_SHOWN]:
        cli_output.note(f"{uid}: {reason}")
    if result.error:
        cli_output.note(result.error)
        cli_output.note(result.remedy)


def commit(
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node.")],
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")],
    wait: Annotated[float, typer.Option("--wait-seconds", min=0, help="How long to wait for the report.")] = 30.0,
    json: JsonOption = False,
) -> None:
    """Have a node commit itself to keep a study (storage commitment). Exit status 0 only if it has for all instances."""
    with connected(create=False) as connection:
        from gantry.nodes import commit as commitment
        from gantry.nodes import registry

        place = registry.get(node)
        instances = commitment.instances_of_study(connection, study)
        result = commitment.commit(
            registry.target_of(place), instances, connection=connection, node_id=place.pk, wait_seconds=wait
        )
    if json:
        cli_output.print_json({**cli_output.plain(result), "ok": result.ok})
    else:
        cli_output.note(f"{len(result.committed)} of {len(instances)} instances are committed.")
        for uid, reason in list(result.failed.items())[:_SHOWN]:
            cli_output.out.print(f"failed {uid}: {commitment.reason_text(reason)}")
        if result.error:
            cli_output.note(result.error)
            cli_output.note(result.remedy)
    raise typer.Exit(0 if result.ok else 1)
