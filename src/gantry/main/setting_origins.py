"""Where each setting that is in force came from: a line of the file, a variable, or the command line.

A process under the supervisor gets all settings as variables, so the supervisor hands on what it knew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gantry.config import Config

#: The variable in which a supervisor tells its processes.
HANDED_ON = "GANTRY_ORIGINS"
COMMAND_LINE = "command line"


def origins(config: Config, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Setting to `gantry.yaml:LINE`, `GANTRY_NAME` or `command line`; those that have their default are left out."""
    environ = os.environ if environ is None else environ
    if handed := environ.get(HANDED_ON):
        try:
            return {str(name): str(origin) for name, origin in json.loads(handed).items()}
        except (ValueError, AttributeError):
            return {}
    path = place(config, environ)
    values, lines = in_file(path)
    found = {}
    for name, field in Config.model_fields.items():
        text = environ.get(f"GANTRY_{name.upper()}")
        if text is not None and _same(config, name, text):
            found[name] = f"GANTRY_{name.upper()}"
        elif name in values and _same(config, name, values[name]):
            found[name] = f"{path.name}:{lines[name]}"
        elif getattr(config, name) != field.get_default(call_default_factory=True):
            found[name] = COMMAND_LINE
    return found


def place(config: Config, environ: Mapping[str, str] | None = None) -> Path:
    """The file of settings, there or not."""
    return Path((os.environ if environ is None else environ).get("GANTRY_CONFIG") or config.home / "gantry.yaml")


def coming(config: Config, environ: Mapping[str, str] | None = None) -> Config:
    """The settings after a restart: the file as it is now, with variables and command line over it. As now where it is broken."""
    known = origins(config, environ)
    path = place(config, environ)
    values, _ = in_file(path)
    if not values and path.exists() and path.stat().st_size:
        return config
    wanted = config.model_dump()
    for name, field in Config.model_fields.items():
        if wins(known.get(name, "")) or name in {"home", "database_url"}:
            continue
        if name in values:
            wanted[name] = values[name]
        elif name in known:
            wanted[name] = field.get_default(call_default_factory=True)
    try:
        return Config.model_validate(wanted)
    except ValidationError:
        return config


def wins(origin: str) -> bool:
    """Whether what is set there wins over the file."""
    return origin == COMMAND_LINE or origin.startswith("GANTRY_")


def as_variable(config: Config) -> dict[str, str]:
    """For the environment of a process that gets its settings from us."""
    return {HANDED_ON: json.dumps(origins(config))}


def _same(config: Config, name: str, value: Any) -> bool:
    """Whether this value, given in a file or as text, is the one in force."""
    if isinstance(value, str) and isinstance(getattr(config, name), list):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if name == "home":
        value = Path(str(value)).expanduser().absolute()
    try:
        made = Config.model_validate({**config.model_dump(), name: value})
    except ValidationError:
        return False
    return bool(getattr(made, name) == getattr(config, name))


def in_file(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Keys with values and lines; nothing for a file that cannot be read (the start has complained about it)."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return {}, {}
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        return {}, {}
    return {str(key): value for key, value in values.items()}, {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
