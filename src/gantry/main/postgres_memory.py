"""How much memory the embedded PostgreSQL keeps for its pages: an eighth of what the machine or the container has.

PostgreSQL's own default, 128 MB, does not hold the indexes of a few million instances. Those over UIDs take new keys
everywhere, and a page that does not fit is written out and fetched again for each.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

LEAST_MB, MOST_MB = 128, 2048
#: Limits of a container, cgroup v2 and v1; "max", or a number near 2^63, is none.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def shared_buffers(memory: int | None = None) -> str:
    """The setting, for so many bytes of memory; None: for those that are here. It is taken page by page, when used."""
    share = (available() if memory is None else memory) // 8 // 2**20
    return f"{min(max(share, LEAST_MB), MOST_MB)}MB"


def available(limits: Sequence[Path] = LIMITS) -> int:
    """Bytes of the machine, or of the container when that has fewer."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit in limits:
        try:
            found.append(int(limit.read_text()))
        except (OSError, ValueError):
            continue
    return min(found)
