"""Writes src/dimse/uid_table.py from the registry of PS3.6 annex A, as found in pydicom (development only).

python tools/generate_uids.py
"""

from __future__ import annotations

from pathlib import Path

from pydicom.uid import UID_dictionary

KINDS = {
    "SOP Class": "class",
    "Meta SOP Class": "meta",
    "Transfer Syntax": "syntax",
    "Application Context Name": "context",
    "Well-known SOP Instance": "instance",
    "Service Class": "service",
}


NOT_STORAGE = ("Storage Commitment", "Media Storage", "Storage Management")
HEADER = '''"""UIDs of PS3.6 annex A: tail|kind|name, one a line. Made by tools/generate_uids.py.

Kinds: storage (a SOP class of C-STORE), class, meta, syntax, context, instance, service.
"""

ROOT = "1.2.840.10008"
TABLE = """\\
'''
ROOT = "1.2.840.10008"


def kind_of(name: str, kind: str) -> str:
    """The kind of our table; Storage SOP classes are told from the rest by name."""
    if kind == "SOP Class" and "Storage" in name and not name.startswith(NOT_STORAGE):
        return "storage"
    return KINDS[kind]


def main() -> None:
    """Write the table, sorted as the registry is."""
    lines = []
    for uid, (name, kind, _info, _retired, _keyword) in UID_dictionary.items():
        if kind in KINDS and uid.startswith(ROOT):
            clean = name.split(":")[0] if kind == "Transfer Syntax" else name
            lines.append(f"{uid.removeprefix(ROOT)}|{kind_of(name, kind)}|{' '.join(clean.split())}")
    target = Path(__file__).parent.parent / "src" / "dimse" / "uid_table.py"
    target.write_text(HEADER + "\n".join(lines) + '\n"""\n', encoding="utf-8")


if __name__ == "__main__":
    main()
