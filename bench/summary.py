"""Medians over rounds and the ratios between peers."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def _groups(rows: Iterable[Row], by: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in by), []).append(row)
    return groups


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def medians(rows: Iterable[Row], by: Sequence[str], spread: str) -> list[dict[str, Any]]:
    """One row per group: the median of each number, the least and most of `spread`, errors together.

    Runs with errors give no numbers; a group of nothing else has its errors only.
    """
    found = []
    for key, group in _groups(rows, by).items():
        good = [row for row in group if not row.get("errors")]
        line: dict[str, Any] = dict(zip(by, key, strict=True))
        line["runs"] = len(good)
        line["noisy"] = sum(1 for row in good if row.get("noisy"))
        names = {name: None for row in good for name, value in row.items() if _is_number(value)}
        for name in names:
            if name not in (*by, "round"):
                values = [row[name] for row in good if row.get(name) is not None]
                line[name] = round(statistics.median(values), 4)
        if good:
            values = [row[spread] for row in good]
            line[f"{spread}_min"], line[f"{spread}_max"] = min(values), max(values)
        errors = [error for row in group for error in row.get("errors") or ()]
        if errors:
            line["errors"] = errors[:5]
        found.append(line)
    return found


def ratios(
    rows: Iterable[Row],
    *,
    case: Sequence[str],
    who: str,
    ours: Sequence[str],
    value: str,
    more_is_better: bool = True,
) -> list[dict[str, Any]]:
    """Ours against each other one: ratio of medians (> 1: ours is better) and the range over the rounds."""
    found = []
    good = [row for row in rows if not row.get("errors") and row.get(value)]
    for key, group in _groups(good, case).items():
        by_peer = {name[0]: runs for name, runs in _groups(group, [who]).items()}
        for our in ours:
            for other, theirs in by_peer.items():
                if our not in by_peer or other in ours:
                    continue
                here = {run["round"]: run[value] for run in by_peer[our]}
                there = {run["round"]: run[value] for run in theirs}
                total = statistics.median(here.values()) / statistics.median(there.values())
                pairs = [here[number] / there[number] for number in here.keys() & there.keys()] or [total]
                if not more_is_better:
                    total, pairs = 1 / total, [1 / pair for pair in pairs]
                line = {
                    **dict(zip(case, key, strict=True)),
                    "ours": our,
                    "against": other,
                    "ratio": round(total, 2),
                }
                found.append({**line, "min": round(min(pairs), 2), "max": round(max(pairs), 2)})
    return found


def in_turns(names: Sequence[str], round_number: int) -> list[str]:
    """The order of a round: each round begins with another one, so that nobody is always first."""
    start = round_number % len(names)
    return [*names[start:], *names[:start]]
