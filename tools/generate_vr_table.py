"""Writes src/gantry/dataset/vr_table.py: the VR of every element of PS3.6, also retired ones.

    python tools/generate_vr_table.py            write the file
    python tools/generate_vr_table.py --check    say whether the file is up to date (exit status 1 if not)

The source is attributes.json of the Innolitics DICOM standard browser (2024b, MIT licence), which is the tables of
PS3.6 as JSON; it lies in ../shared/standard, or where GANTRY_STANDARD says.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "src" / "gantry" / "dataset" / "vr_table.py"
SOURCE = Path(os.environ.get("GANTRY_STANDARD", "../shared/standard")) / "innolitics-2024b" / "attributes.json"

#: What the standard leaves open, in two letters of ours; transcode_vrs.py decides (PS3.5 A.2, 8.1.2).
OPEN = {"US or SS": "xs", "OB or OW": "ox", "US or OW": "lx", "US or SS or OW": "lx"}
WIDTH = 120

HEAD = '''"""The VR of every element of PS3.6, also retired ones. Made by tools/generate_vr_table.py.

xs: US or SS; ox: OB or OW; lx: US, SS or OW. An x in a tag stands for any digit.
"""

from __future__ import annotations

from collections.abc import Mapping

#: VR to `group:element,element,... group:...`.
TABLE: Mapping[str, str] = {
'''


def rendered() -> str:
    """The text of vr_table.py."""
    by_vr: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for attribute in json.loads(SOURCE.read_text()):
        vr = attribute["valueRepresentation"]
        group, element = attribute["tag"].strip("()").replace("X", "x").split(",")
        if len(vr) != 2 and vr not in OPEN:
            continue  # items, delimiters and what has lost its VR
        by_vr[OPEN.get(vr, vr)][group].append(element)
    lines = []
    for vr, groups in sorted(by_vr.items()):
        text = " ".join(f"{group}:{','.join(sorted(elements))}" for group, elements in sorted(groups.items()))
        if len(text) <= WIDTH - 2:
            lines.append(f'    "{vr}": "{text}",\n')
            continue
        step = WIDTH if len(text) <= WIDTH else WIDTH - 4
        pieces = [text[start : start + step] for start in range(0, len(text), step)]
        lines.append(f'    "{vr}": (\n' + "".join(f'        "{piece}"\n' for piece in pieces) + "    ),\n")
    return HEAD + "".join(lines) + "}\n"


def main(arguments: list[str]) -> int:
    """Writes or checks; gives the exit status."""
    text = rendered()
    if "--check" in arguments:
        return 0 if TARGET.exists() and TARGET.read_text() == text else 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
