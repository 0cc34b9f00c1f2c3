"""The settings in the file: compared with what is in force; written into gantry.yaml only where that is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gantry import config
from gantry.main import setting_origins
from gantry.main.errors import SetupError
from gantry.main.home import write_private
from gantry.main.one_file.errors import FileRefused
from gantry.main.one_file.plan import Change
from gantry.main.one_file.text import Document

#: What belongs to the machine. The URL of the database holds its password.
NOT_OURS = frozenset({"home", "database_url"})
#: What only who is at the machine may write: where files and secrets are and where those secrets are sent, what guards
#: its network, and the addresses by which it is reached (a wrong one could be mended there only).
OF_THE_MACHINE = NOT_OURS | {
    "http", "dicom", "dicom_tls_address", "dicom_tls_certificate", "dicom_tls_key", "dicom_tls_authorities", "dicom_tls_crl",
    "dicom_tls_clients", "backup_folder", "mail_smtp", "mail_tls", "mail_user", "mail_password", "openid_url",
    "openid_client_id", "openid_client_secret", "webhook_hosts", "webhook_private", "behind_tls_proxy", "allowed_hosts",
}  # fmt: skip


def read() -> dict[str, Any]:
    """What is in force and not the default, by name."""
    settings = config.current()
    usual = {name: one.get_default(call_default_factory=True) for name, one in config.Config.model_fields.items()}
    values = settings.model_dump(mode="json")
    return {
        name: values[name] for name in sorted(values) if name not in NOT_OURS and getattr(settings, name) != usual[name]
    }  # fmt: skip


def checked(wanted: Mapping[str, Any], document: Document) -> dict[str, Any]:
    """The values as they would be in force. Raises FileRefused."""
    problems = []
    for name in wanted:
        if name in NOT_OURS:
            problems.append(document.problem(("settings", name), "belongs to the machine and not into this file"))
        elif name not in config.Config.model_fields:
            problems.append(document.problem(("settings", name), "is not a setting; see `gantry config show`"))
    if problems:
        raise FileRefused(problems, document.name)
    now = config.current()
    try:
        made = config.Config.model_validate({**now.model_dump(), **wanted})
    except ValidationError as error:
        raise FileRefused(
            [
                document.problem(("settings", *map(str, issue["loc"][:1])), issue["msg"].removeprefix("Value error, "))
                for issue in error.errors(include_url=False, include_input=False)
            ],
            document.name,
        ) from None
    values = made.model_dump(mode="json")
    return {name: values[name] for name in wanted}


def compare(wanted: Mapping[str, Any], document: Document, *, write: bool) -> list[Change]:
    """What differs from what is in force; from what will be after a restart, where it is written. A setting that the file
    leaves out is not looked at."""
    found = config.current()
    now = (setting_origins.coming(found) if write else found).model_dump(mode="json")
    return [
        Change(
            "settings", name, "changed" if write else "named", {"value": (now[name], value)},
            document.line(("settings", name)),
        )
        for name, value in wanted.items()
        if now[name] != value
    ]  # fmt: skip


def check_remote(changes: Sequence[Change], document: Document) -> None:
    """Nothing that is the machine's alone, or that would have no effect, is written from afar. Raises FileRefused."""
    known = setting_origins.origins(config.current())
    problems = []
    for change in changes:
        origin = known.get(change.key, "")
        if change.key in OF_THE_MACHINE:
            problems.append(document.problem(("settings", change.key), "is changed on the machine only, in gantry.yaml"))
        elif setting_origins.wins(origin):
            problems.append(
                document.problem(("settings", change.key), f"is set by {origin}, which wins over gantry.yaml: change it there")
            )
    if problems:
        raise FileRefused(problems, document.name)


def place(home: Path) -> Path:
    """The file of settings of this instance."""
    return Path(os.environ.get("GANTRY_CONFIG") or home / "gantry.yaml")


def write(home: Path, values: Mapping[str, Any], *, dry_run: bool = False) -> str | None:
    """Set keys in the file of settings, every other line as it was; gives the text before (None: there was no file).

    Raises SetupError for a file that cannot be understood or written.
    """
    path = place(home)
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else None
        text = edited(before or "", values)
        if not dry_run:
            write_private(path, text)
    except yaml.YAMLError as error:
        raise SetupError(f"{path} is no YAML", "Mend it by hand, on the machine") from error
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}", "Change the settings by hand, on the machine") from error
    return before


def put_back(home: Path, before: str | None) -> None:
    """As it was."""
    path = place(home)
    if before is None:
        path.unlink(missing_ok=True)
    else:
        write_private(path, before)


def edited(text: str, values: Mapping[str, Any]) -> str:
    """YAML text with top-level keys set; comments and other keys stay as they are."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is not None and (not isinstance(node, yaml.MappingNode) or node.flow_style):
        raise SetupError("gantry.yaml is no list of `key: value` lines", "Write it so, or change the settings by hand")
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    spans = {} if node is None else {
        str(key.value): (key.start_mark.line, _end(value)) for key, value in node.value
    }  # fmt: skip
    for name in sorted(values, key=lambda one: spans.get(one, (0, 0))[0], reverse=True):
        # Written inside a flow list, where every text that needs quotes gets them.
        value = yaml.safe_dump([values[name]], default_flow_style=True, allow_unicode=True, width=100_000).strip()[1:-1]
        line = f"{name}: {value}\n"
        if name in spans:
            begin, end = spans[name]
            lines[begin:end] = [line]
        else:
            lines.append(line)
    made = "".join(lines)
    read_again = yaml.safe_load(made)
    if any(read_again.get(name) != value for name, value in values.items()):
        raise SetupError("gantry.yaml is written in a way that cannot be changed by us", "Change these settings by hand")
    return made


def _end(value: yaml.Node) -> int:
    """The line after a value: block collections end where the next thing begins, so their last item is asked."""
    if isinstance(value, yaml.CollectionNode) and not value.flow_style and value.value:
        last = value.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(value.end_mark.line) + (1 if value.end_mark.column or value.start_mark.line == value.end_mark.line else 0)
