"""The conformance statement as Markdown, in the order of PS3.2: overview, entities and their policies, SOP classes with
syntaxes and roles, statuses, query attributes, network and settings, character sets, security.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gantry.main.conformance_answers import Facts


def as_markdown(facts: Facts) -> str:
    """The whole statement."""
    parts = [
        _overview(facts),
        _entities(facts),
        _provider(facts),
        _user(facts),
        _statuses(facts),
        _query(facts),
        _network(facts),
        _character_sets(facts),
        _security(facts),
    ]
    return "\n".join(parts)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _uid(item: Facts) -> str:
    return f"{_name(item)} `{item['uid']}`" if item["uid"] else str(item["name"])


def _name(item: Facts) -> str:
    return str(item["name"]) or "(retired; the registry has no name for it)"


def _overview(facts: Facts) -> str:
    product = facts["product"]
    rows: list[tuple[str, str, str]] = []
    for group in facts["provider"]["groups"]:
        named = group["classes"]
        name = f"{len(named)} storage SOP classes, and private ones" if group["service"] == "storage" else None
        rows += [(name, "yes", "yes")] if name else [(_uid(item), _asked(facts, item["uid"]), "yes") for item in named]
    return f"""# DICOM conformance statement

{product["name"]} {product["version"]}. The form is that of PS3.2; the content is asked of the running code and its settings by
`gantry conformance`. This page is for the default settings: `gantry conformance` prints the one of your instance.

## 1 Overview

{product["name"]} receives instances, keeps them byte for byte, answers queries and retrievals from its index, commits to what it
holds, and sends what it holds on. It creates and changes no instance. It is no medical device.

{_table(("Network service", "as user (SCU)", "as provider (SCP)"), rows)}
Media: Part 10 files are read (`gantry import`) and kept as Part 10 files; no DICOMDIR is written.
"""


def _asked(facts: Facts, uid: str) -> str:
    return "yes" if any(row["uid"] == uid for row in facts["user"]) else "no"


def _entities(facts: Facts) -> str:
    product, provider = facts["product"], facts["provider"]
    window = provider["operations_window"]
    rows = [(e["name"], f"`{e['title']}`", e["side"], e["does"]) for e in facts["application_entities"]]
    return f"""## 2 Application entities

{_table(("entity", "AE title", "side", "what it does"), rows)}
### 2.1 Association policies

{
        _table(
            ("policy", "value"),
            [
                ("application context", "`1.2.840.10008.3.1.1.1`"),
                ("implementation class UID", f"`{product['implementation_class_uid']}`"),
                ("implementation version name", f"`{product['implementation_version_name']}`"),
                (
                    "associations accepted at once",
                    f"{provider['max_associations']} for each receiver process; then rejected (transient)",
                ),
                ("associations begun at once", "as each node allows (`gantry node add --associations`, 4)"),
                ("largest PDU offered", f"{provider['max_pdu']} bytes; that of the peer is kept"),
                ("asynchronous operations window", f"{window[0]}/{window[1]} is granted: one operation after the other"),
                ("waiting for an association request (ARTIM)", f"{facts['network']['association_seconds']:g} s"),
                ("silence on an association", f"{facts['network']['idle_seconds']:g} s, then A-ABORT"),
                ("a peer that dribbles", f"below {facts['network']['minimum_rate']} bytes/s inside a message: A-ABORT"),
                ("user identity", "told to nodes that have one (user name, with passcode); that of callers is not judged"),
            ],
        )
    }
### 2.2 Rejected associations

{_table(("result/source/reason", "meaning", "when"), [(r["code"], r["meaning"], r["when"]) for r in facts["reject_reasons"]])}"""


def _list(items: Iterable[Facts]) -> str:
    return "<br>".join(_uid(item) for item in items)


def _provider(facts: Facts) -> str:
    provider = facts["provider"]
    text = ["## 3 SOP classes as provider\n"]
    text.append(
        "Of several transfer syntaxes in one context the first that was proposed and is accepted is taken. Instances are\n"
        "kept in the syntax they come in, and sent in it.\n"
    )
    rows = []
    for group in provider["groups"]:
        classes = group["classes"]
        name = f"all of 3.1 ({len(classes)})" if group["service"] == "storage" else _list(classes)
        syntaxes = group["transfer_syntaxes"]
        which = f"all of 3.2 ({len(syntaxes)})" if len(syntaxes) > _FEW else _list(syntaxes)
        role = "SCP; SCU too, by role selection" if group["requestor_may_be_scp"] else "SCP"
        rows.append((group["service"], name, which, role))
    text.append(_table(("service", "SOP classes", "transfer syntaxes", "our role"), rows))
    if provider["private_storage"]:
        text.append("A SOP class that the registry does not know (a private one) is taken as storage.\n")
    options = provider["extended_negotiation"]
    if options:
        text.append("SOP class extended negotiation (PS3.4 C.5.1.1), the answer to a caller that asks for every option:\n")
        words = ("relational", "date and time combined", "fuzzy names", "time zone")
        rows_of = [(_uid(item), *("yes" if bit else "no" for bit in item["answer"][:4])) for item in options]
        text.append(_table(("SOP class", *words), rows_of))
    storage = next(group for group in provider["groups"] if group["service"] == "storage")
    text.append("### 3.1 Storage SOP classes\n")
    text.append(_table(("name", "UID"), [(item["name"], f"`{item['uid']}`") for item in storage["classes"]]))
    text.append("### 3.2 Transfer syntaxes of instances\n")
    text.append(_table(("name", "UID"), [(item["name"], f"`{item['uid']}`") for item in storage["transfer_syntaxes"]]))
    text.append("### 3.3 Refused\n")
    text.append("These classes of the registry are answered with result 3 (abstract syntax not supported):\n")
    text.append(_table(("name", "UID"), [(_name(item), f"`{item['uid']}`") for item in provider["refused"]]))
    return "\n".join(text)


_FEW = 4


def _user(facts: Facts) -> str:
    rows = [
        (_uid(row), _list(row["transfer_syntaxes"]) or "the one it is stored in", row["role"], row["entity"])
        for row in facts["user"]
    ]  # fmt: skip
    return "## 4 SOP classes as user\n\n" + _table(("SOP class", "transfer syntaxes proposed", "role", "entity"), rows)


def _statuses(facts: Facts) -> str:
    text = ["## 5 Status codes we give\n"]
    for service, rows in facts["statuses"].items():
        text.append(f"### {service}\n")
        table = [(f"`{row['code']}`", row["category"], row["meaning"], row["when"]) for row in rows]
        text.append(_table(("status", "category", "meaning", "when"), table))
    text.append(
        "An operation that is none of its SOP class is answered `0211`, one that begins before the last has ended `0213`.\n"
        "As user, every warning of C-STORE counts as stored and is kept in the ledger; every failure keeps the instance and is\n"
        "tried again or told.\n"
    )
    return "\n".join(text)


def _query(facts: Facts) -> str:
    text = ["## 6 Queries: attributes and matching\n"]
    text.append("Keys that are not listed come back empty, with status `FF01`. Text is compared without case.\n")
    for level in facts["query"]:
        text.append(f"### {level['level']}\n")
        rows = [(item["keyword"], f"`{item['tag']}`", item["vr"], item["matching"]) for item in level["keys"]]
        text.append(_table(("attribute", "tag", "VR", "matching"), rows))
    return "\n".join(text)


def _network(facts: Facts) -> str:
    network = facts["network"]
    rows: list[tuple[Any, ...]] = [(f"`{row['key']}`", f"`{row['value']}`" if row["value"] else "(empty)", row["meaning"])
                                   for row in network["settings"]]  # fmt: skip
    tls = f"`{network['tls_address']}`" if network["tls_address"] else "none; `dicom_tls_address` opens one"
    return f"""## 7 Network interfaces and configuration

TCP over IPv4 and IPv6, DICOM upper layer (PS3.8). Plain port: `{network["address"]}`. TLS port: {tls}.
Nodes and callers are kept in the database (`gantry node`, `gantry caller`); what follows stands in `gantry.yaml` or the
environment.

{_table(("setting", "value", "meaning"), rows)}"""


def _character_sets(facts: Facts) -> str:
    terms = ", ".join(f"`{term}`" for term in facts["character_sets"])
    return f"""## 8 Character sets

Stored instances keep their bytes, whatever they say. For the index, text is read in these defined terms of Specific Character
Set (0008,0005), alone and with code extensions:

{terms}.

An unknown or missing term is no error: text is read as UTF-8 where it is that, else as ISO 8859-1, and the object is marked.
Query answers are in the character set of the query where that can say them, else in `ISO_IR 192`.
"""


def _security(facts: Facts) -> str:
    security = facts["security"]
    state = "open" if security["listener"] else "not open with these settings"
    unknown = {"refuse": "are refused", "store": "may echo and store", "allow": "may do everything"}[security["unknown_callers"]]
    actions = ", ".join(f"`{action}`" for action in facts["callers"])
    return f"""## 9 Security

Secure transport profiles (PS3.15 annex B) the engine knows: {", ".join(f"`{p}`" for p in security["profiles"])}; the
default is `{security["default_profile"]}`. TLS 1.2 and 1.3 only; never a fall-back to plain. The TLS port is {state};
callers there: certificate {security["client_certificates"]}. The certificate of a node must be vouched for by an
authority or be the pinned one.

Callers that are neither allowed nor a node {unknown} (`unknown_callers`). An entry can bind an AE title to addresses and to a
certificate, and says which of {actions} it may do. Refused callers are listed by `gantry caller refused`.

The digest (SHA-256) of each data set as received is kept, and compared at every sending and by `gantry verify`.
"""
