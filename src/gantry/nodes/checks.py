"""Health of the nodes: does each enabled node give a sign of life?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from gantry.nodes.echo import EchoResult
from gantry.nodes.items import FolderTarget
from gantry.nodes.kinds import ask
from gantry.nodes.registry import list_nodes, place_of

#: A check is for a person who waits, seconds.
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """One node and its answer."""

    name: str
    address: str
    result: EchoResult


def check_nodes(patience_seconds: float = PATIENCE_SECONDS) -> list[NodeCheck]:
    """Ask all enabled nodes at once; in the order of their names."""
    nodes = [(node.name, place_of(node)) for node in list_nodes() if node.enabled]
    if not nodes:
        return []
    targets = [
        target
        if isinstance(target, FolderTarget)
        else replace(
            target,
            connect_seconds=min(target.connect_seconds, patience_seconds),
            response_seconds=min(target.response_seconds, patience_seconds),
        )
        for _, target in nodes
    ]
    with ThreadPoolExecutor(max_workers=min(16, len(nodes)), thread_name_prefix="node-check") as threads:
        results = list(threads.map(ask, targets))
    return [NodeCheck(name, target.words, result) for (name, target), result in zip(nodes, results, strict=True)]
