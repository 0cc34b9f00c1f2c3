"""The tables of README.md, made from results/latest.json, between two markers.

python -m bench.table [--print] [--results bench/results/latest.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

README = Path(__file__).parent / "README.md"
LATEST = Path(__file__).parent / "results" / "latest.json"
BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"
Result = Mapping[str, Any]

_WORKLOADS = {
    "ct1": "CT, 1 association",
    "ct4": "CT, 4 associations",
    "ct16": "CT, 16 associations",
    "small1": "small, 1 association",
    "small4": "small, 4 associations",
    "multi1": "multi-frame, 1 association",
}


def _text(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "/").replace("\n", " ")


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_text(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _error(row: Result) -> str:
    return str(row["errors"][0])[:120] if row.get("errors") else ""


def _ratio_table(rows: Sequence[Result], case: str) -> str:
    return markdown(
        [case, "ours", "against", "ratio", "least", "most"],
        [[row.get(case, ""), row["ours"], row["against"], row["ratio"], row["min"], row["max"]] for row in rows],
    )


def _receive(result: Result) -> str:
    columns = ("inst_s", "inst_s_min", "inst_s_max", "mb_s", "p50_ms", "cpu_s_per_1000")
    head = ["receiver", "inst/s", "least", "most", "MB/s", "p50 ms", "CPU s/1000"]
    head += ["RSS MB of one process", "RSS MB of all", "last one indexed after s", "noisy", "runs", "trouble"]
    parts = []
    for workload in dict.fromkeys(row["workload"] for row in result["medians"]):
        rows = [row for row in result["medians"] if row["workload"] == workload]
        rows.sort(key=lambda row: -row.get("inst_s", 0))
        cells = [
            [
                row["peer"],
                *(row.get(column) for column in columns),
                row.get("rss_receiver_mb") or row.get("rss_server_mb"),
                row.get("rss_sum_mb"),
                row.get("index_lag_s"),
                row.get("noisy"),
                row["runs"],
                _error(row),
            ]
            for row in rows
        ]
        parts.append(f"**{_WORKLOADS.get(workload, workload)}**\n\n{markdown(head, cells)}")
    ratios = _ratio_table(result["ratios"], "workload")
    return "\n\n".join([*parts, f"Ratios (instances per second; above 1: Gantry is faster)\n\n{ratios}"])


def _forward(result: Result) -> str:
    head = ["case", "sender", "inst/s", "MB/s", "on the wire inst/s", "MB/s", "CPU s/1000", "runs", "trouble"]
    columns = ("inst_s", "mb_s", "wire_inst_s", "wire_mb_s", "cpu_s_per_1000", "runs")
    cells = [[row["case"], row["peer"], *(row.get(column) for column in columns), _error(row)] for row in result["medians"]]
    whole, wire = (_ratio_table(result[key], "case") for key in ("ratios", "wire_ratios"))
    return "\n\n".join(
        [
            markdown(head, cells),
            f"Ratios, whole process or ledger\n\n{whole}",
            f"Ratios, on the wire\n\n{wire}",
        ]
    )


def _nagle(result: Result) -> str:
    cells = [[row["peer"], row.get("inst_s"), row["runs"], _error(row)] for row in result["medians"]]
    return markdown(["receiver", "inst/s", "runs", "trouble"], cells)


def _startup(result: Result) -> str:
    columns = ("clone_s", "setup_s", "demo_s", "total_s", "runs")
    cells = [[row["cache"], *(row.get(column) for column in columns), _error(row)] for row in result["medians"]]
    return markdown(["package cache", "clone s", "setup s", "demo s", "all s", "runs", "trouble"], cells)


_RETRIEVERS = {
    "gantry": "gantry, digest compared at each",
    "gantry-scrubber": "gantry, digests left to the scrubber",
    "gantry-fetch": "`gantry fetch` as requestor",
    "getscu": "`getscu` as requestor",
    "movescu": "`movescu` and `storescp` as requestor",
}


def _retrieve(result: Result) -> str:
    columns = ("inst_s", "mb_s", "seconds", "cpu_s_per_1000", "runs")
    cells = [
        [row["case"], _RETRIEVERS.get(row["peer"], row["peer"]), *(row.get(column) for column in columns), _error(row)]
        for row in result["medians"]
    ]
    table = markdown(["case", "who", "inst/s", "MB/s", "seconds", "CPU s/1000", "runs", "trouble"], cells)
    return f"{table}\n\nRatios (MB/s)\n\n{_ratio_table(result['ratios'], 'case')}"


def _find(result: Result) -> str:
    head = ["studies", "key", "answers", "askers", "p50 ms", "p95 ms", "questions/s", "runs", "trouble"]

    def cells(row: Result) -> list[object]:
        times = (row.get(column) for column in ("studies", "key", "answers", "askers", "p50_ms", "p95_ms"))
        return [*times, row.get("asked_s", row.get("per_s")), row["runs"], _error(row)]

    text = markdown(head, [cells(row) for row in result["medians"]])
    if not result.get("peers"):
        return text
    peers = sorted(result["peers"], key=lambda row: (row["studies"], row["key"], row["answers"], row["askers"], row["peer"]))
    beside = markdown(["who", *head], [[row["peer"], *cells(row)] for row in peers])
    return f"{text}\n\nBeside Orthanc and dcmqrscp, at sizes to which they can be filled\n\n{beside}"


def _stack(result: Result) -> str:
    units = {row["case"]: row.get("unit", "") for row in result["runs"]}
    cells = [
        [row["case"], row["peer"], row.get("value"), units.get(row["case"]), row["runs"], _error(row)]
        for row in result["medians"]
    ]
    table = markdown(["case", "engine", "value", "unit", "runs", "trouble"], cells)
    return f"{table}\n\nRatios\n\n{_ratio_table(result['ratios'], 'case')}"


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _leaves(value: Any, path: str = "") -> Iterable[tuple[str, object]]:
    """The values inside of nested mappings, with their way."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}, {key}" if path else str(key))
    else:
        yield path, value if _plain(value) else json.dumps(value)[:120]


_RATES = {"inst_s": "inst/s", "indexed_s": "indexed/s", "wire_inst_s": "on the wire inst/s", "mb_s": "MB/s", "per_s": "each s"}


def _rows(rows: Sequence[Result]) -> str:
    """Rows as they are, a column for each key that one of them has; what is inside of a cell is told in words."""
    flat = [dict(_leaves({key: value for key, value in row.items() if key != "errors"})) for row in rows]
    head = list(dict.fromkeys(key for row in flat for key in row))
    trouble = any(_error(row) for row in rows)
    cells = [[*(one.get(key) for key in head), *([_error(row)] if trouble else [])] for one, row in zip(flat, rows, strict=True)]
    return markdown([*(_RATES.get(key, key.replace("_", " ")) for key in head), *(["trouble"] if trouble else [])], cells)


#: What every result has besides its figures.
_FRAME = ("bench", "finished", "options", "machine", "runs")


def _generic(result: Result) -> str:
    """A small table for each list of rows, one for the figures that stand alone; the runs where there are no medians."""
    parts = []
    lists = {
        key: value
        for key, value in result.items()
        if key not in _FRAME and isinstance(value, list) and value and isinstance(value[0], Mapping)
    }
    if not lists and result.get("runs"):
        lists["runs"] = result["runs"]
    for key, rows in lists.items():
        parts.append(f"{key.replace('_', ' ').capitalize()}\n\n{_rows(rows)}")
    for key, value in result.items():
        if key not in _FRAME and isinstance(value, Mapping) and value:
            inner = list(value.values())
            if all(isinstance(one, Mapping) for one in inner):
                parts.append(_rows([{key.rstrip("s"): name, **one} for name, one in value.items()]))
            else:
                parts.append(markdown([key.replace("_", " "), "value"], _leaves(value)))
    alone = [(key.replace("_", " "), value) for key, value in result.items() if key not in _FRAME and _plain(value)]
    if alone:
        parts.append(markdown(["figure", "value"], alone))
    return "\n\n".join(parts)


_SECTIONS = {
    "receive": ("Receive", _receive),
    "forward": ("Send", _forward),
    "retrieve": ("Retrieve", _retrieve),
    "find": ("C-FIND on a large catalogue", _find),
    "stack": ("The wire engine alone", _stack),
    "nagle": ("A stock storescu as sender", _nagle),
    "startup": ("From a clean clone to the receipt", _startup),
    "slope": ("Receiving as the catalogue grows", _generic),
    "rules": ("What many rules add to the way of an instance", _generic),
    "isolation": ("What a sick destination costs a healthy one", _generic),
    "scrub": ("What the scrubber costs receiving", _generic),
    "access": ("Lists under access control", _generic),
    "dicomweb": ("What a viewer asks for", _generic),
    "viewer": ("What a person waits for in the browser", _generic),
    "scroll": ("The list of a million studies in the browser", _generic),
}


def _machine(result: Result) -> str:
    here = result["machine"]
    names = ("cpu", "cores", "memory_gb", "kernel", "python", "dcmtk", "orthanc", "pynetdicom", "commit")
    facts = ", ".join(f"{name} {here[name]}" for name in names)
    return f"{result['finished']}; rounds {result['options'].get('rounds')}; {facts}."


def render(results: Mapping[str, Result]) -> str:
    """All tables as markdown."""
    if not results:
        return "Not yet measured."
    parts = []
    for name, (title, section) in _SECTIONS.items():
        if name in results:
            parts.append(f"### {title}\n\n{_machine(results[name])}\n\n{section(results[name])}")
    return "\n\n".join(parts)


def update_readme(results: Mapping[str, Result], readme: Path = README) -> None:
    """Put the tables between the markers of `readme`. ValueError when a marker is not there."""
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme} has no {BEGIN} ... {END}")
    readme.write_text(f"{before}{BEGIN}\n{render(results)}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Render the results that are there."""
    parser = argparse.ArgumentParser(description="Render the tables of README.md.")
    parser.add_argument("--results", type=Path, default=LATEST)
    parser.add_argument("--print", dest="show", action="store_true", help="print, leave README.md alone")
    options = parser.parse_args()
    results = json.loads(options.results.read_text(encoding="utf-8")) if options.results.exists() else {}
    if options.show:
        print(render(results))
    else:
        update_readme(results)


if __name__ == "__main__":
    main()
