"""Settings as data: every key with its type, default and help, from one YAML file and `GANTRY_*` variables.

The order is: variables win over the file, the file over the defaults. `load()` reads, `current()` is what
this process runs with. Errors name file, line and key.
"""

from __future__ import annotations

import ipaddress
import os
import re
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

_ADDRESS = re.compile(r"^(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\s\[\]]+):(?P<port>\d{1,5})$")
#: Variables that are ours but are no settings.
_NOT_SETTINGS = frozenset(
    {
        "GANTRY_CONFIG", "GANTRY_TEST_DATABASE_URL", "GANTRY_LISTEN_FD", "GANTRY_LISTEN_TLS_FD", "GANTRY_SUPERVISED",
        "GANTRY_PARENT", "GANTRY_ORIGINS", "GANTRY_DEBUG", "GANTRY_CI", "GANTRY_URL", "GANTRY_TOKEN",
    }
)  # fmt: skip
#: Settings that hold several values; with commas in a variable.
_LISTS = frozenset({"allowed_hosts", "mail_administrators", "webhook_hosts", "webhook_private"})
#: What Docker and Kubernetes put into the environment for a service that is named gantry.
_FOREIGN = re.compile(r"^GANTRY_(\w+_)?(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP)\w*|ENV_\w+|NAME)$")


class ConfigError(Exception):
    """The settings cannot be used; the message says where and what to do."""


class Config(BaseModel):
    """Everything that can be set. The help texts below are the reference in docs/reference/settings.md."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(default=Path("var"), description="Folder that holds all data of this instance")
    http: str = Field(default="127.0.0.1:8080", description="Address of the web process, HOST:PORT")
    dicom: str = Field(default="127.0.0.1:11112", description="Address of the DICOM receiver, HOST:PORT")
    aet: str = Field(default="GANTRY", description="Our AE title, 1 to 16 characters")
    unknown_callers: Literal["refuse", "store", "allow"] = Field(
        default="refuse",
        description="Callers that are neither allowed (`gantry caller`) nor a node: refuse them, let them echo and store, "
        "or let them do everything",
    )
    find_limit: int = Field(
        default=0, ge=0, le=10_000_000,
        description="Most answers to one C-FIND; after them the question is answered with A700. 0: no limit",
    )  # fmt: skip
    retrieve_digest: Literal["each", "scrubber"] = Field(
        default="each",
        description="When the SHA-256 of what a C-GET gives is compared with that of its receipt. each: of every instance before "
        "its first byte goes out; scrubber: not then, only when the store is checked as a whole. Deliveries and C-MOVE always do",
    )
    transcode: Literal["never", "uncompressed", "any"] = Field(
        default="never",
        description="What to do when the other side of a C-GET takes no context with the stored transfer syntax: nothing, "
        "convert between syntaxes without compression, or also decode compressed pixels (needs the extra `pixels`). Nodes "
        "have a setting of their own for sending",
    )
    commitment_days: int = Field(
        default=90, ge=0, le=36_500,
        description="Storage commitments, asked of us or by us, are forgotten so many days after their end. 0: never",
    )  # fmt: skip
    dicom_tls_address: str = Field(
        default="", description="Address of a second DICOM port that speaks TLS, HOST:PORT; empty: none"
    )
    dicom_tls_certificate: str = Field(default="", description="File with our certificate and its chain, PEM")
    dicom_tls_key: str = Field(default="", description="File with the private key of our certificate, PEM")
    dicom_tls_authorities: str = Field(
        default="", description="File with the certificates that callers' certificates rest on, PEM"
    )
    dicom_tls_crl: str = Field(
        default="",
        description="File or folder with the revocation lists of these authorities, PEM; empty: nobody is looked up. "
        "Read at the start: restart after a new list",
    )
    dicom_tls_clients: Literal["required", "optional", "none"] = Field(
        default="required", description="Whether callers on the TLS port must, may or need not show a certificate"
    )
    accept_any_called_aet: bool = Field(default=True, description="Accept associations that call another AE title than ours")
    database_url: str = Field(default="", description="postgresql://... of an external PostgreSQL >= 15; empty: the embedded one")
    durability: Literal["disk", "os"] = Field(
        default="disk",
        description="disk: Success only after the bytes are synced; os: after they are written (for comparison)",
    )
    receivers: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Receiver processes that share the DICOM port; 0: one per core, at most 4",
    )
    max_associations: int = Field(
        default=200,
        ge=1,
        le=10000,
        description="Associations one receiver process serves at once; more are rejected (transient)",
    )
    max_pdu: int = Field(default=131072, ge=4096, le=1048576, description="Largest PDU we announce, bytes")
    association_seconds: float = Field(
        default=15.0, gt=0, description="ARTIM: how long a peer may take to ask for an association"
    )
    idle_seconds: float = Field(default=300.0, gt=0, description="How long an association may be silent")
    settle_quiet_seconds: float = Field(default=10.0, ge=0, description="A study has settled when nothing came for this long")
    settle_on_association_end: bool = Field(
        default=True, description="A study settles only when the associations that bring it are closed"
    )
    time_zone: str = Field(
        default="UTC",
        description="Time zone of the site, as in Europe/Berlin: hours and weekdays in rules and windows are meant in it",
    )
    public_url: str = Field(
        default="", description="Address under which people reach the web process, for links in mails; empty: http://<http>"
    )
    mail_smtp: str = Field(
        default="", description="Mail server, HOST:PORT; empty: mails are written as files into HOME/mail and not sent"
    )
    mail_tls: Literal["starttls", "tls", "none"] = Field(default="starttls", description="How the mail server is spoken to")
    mail_user: str = Field(default="", description="User name at the mail server; empty: no sign-in there")
    mail_password: str = Field(
        default="", description="Where the password of mail_user is: env:NAME or file:/PATH; never the password itself"
    )
    mail_from: str = Field(default="gantry@localhost", description="Sender of mails")
    mail_administrators: list[str] = Field(
        default_factory=list,
        description="Who is told of registrations; empty: every administrator who has an e-mail address",
    )
    alert_queue_minutes: float = Field(default=30.0, gt=0, description="A delivery that waits longer raises an alert")
    alert_index_seconds: float = Field(
        default=60.0, gt=0, description="Received objects that wait longer for the index raise an alert"
    )
    webhook_hosts: list[str] = Field(
        default_factory=list, description="Hosts to which webhooks may go, names or *.suffix; empty: any with a public address"
    )
    webhook_private: list[str] = Field(
        default_factory=list,
        description="Networks, as in 10.1.0.0/16, of addresses that are not public to which webhooks may go, by plain http too",
    )
    self_registration: bool = Field(
        default=False, description="People may ask for an account themselves; an administrator decides"
    )
    openid_url: str = Field(
        default="", description="Address of an OpenID Connect provider (its issuer) by which people may sign in; empty: none"
    )
    openid_client_id: str = Field(default="", description="Our name at the OpenID Connect provider")
    openid_client_secret: str = Field(
        default="", description="Where our secret at the provider is: env:NAME or file:/PATH; never the secret itself"
    )
    openid_name: str = Field(default="OpenID Connect", description="What the sign-in page calls the provider")
    disk_reserve_mb: int = Field(
        default=512,
        ge=0,
        description="Free space to keep on the volume of the home; below it C-STORE is answered A700",
    )
    trash_days: float = Field(
        default=30.0, ge=0, le=36500, description="How long a deleted study stays in the trash before it is removed for good"
    )
    attempt_days: int = Field(
        default=90,
        ge=0,
        le=36500,
        description="Attempts of deliveries that were no success are forgotten after so many days. 0: never",
    )
    scrub_mb_per_second: float = Field(
        default=20.0,
        ge=0,
        le=10000,
        description="How fast the scrubber reads stored files; a tenth of it while something is being received; 0: it never runs",
    )
    scrub_days: float = Field(
        default=30.0, gt=0, le=3650, description="The scrubber begins again so long after it last began to compare everything"
    )
    retry_first_seconds: float = Field(
        default=5.0, gt=0, description="Delay before the second attempt of a delivery; doubles each time"
    )
    retry_max_seconds: float = Field(default=3600.0, gt=0, description="Longest delay between two attempts of a delivery")
    backup_folder: str = Field(default="", description="Folder for the daily backup of index and settings; empty: none is made")
    backup_time: str = Field(
        default="02:30", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="When it is made, HH:MM in the time zone of the site"
    )
    backup_keep: int = Field(default=14, ge=0, le=10_000, description="Backups to keep in the folder; 0: all")
    backup_verify: bool = Field(
        default=False, description="Restore each daily backup into an empty home and compare every table (reads everything)"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="How much is logged")
    behind_tls_proxy: bool = Field(
        default=False,
        description="A proxy in front speaks HTTPS and sets X-Forwarded-Proto: believe it, and mark cookies secure",
    )
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Further host names under which the web process is reached"
    )

    @field_validator("http", "dicom", "dicom_tls_address", "mail_smtp")
    @classmethod
    def _address(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name in {"dicom_tls_address", "mail_smtp"}:
            return value
        match = _ADDRESS.match(value)
        if not match or not 0 <= int(match["port"]) <= 65535:
            raise ValueError("must be HOST:PORT, as in 127.0.0.1:11112 or [::1]:11112")
        return value

    @model_validator(mode="after")
    def _tls(self) -> Config:
        if self.dicom_tls_address:
            needed = ["dicom_tls_certificate", "dicom_tls_key"]
            if self.dicom_tls_clients != "none":
                needed.append("dicom_tls_authorities")
            missing = [key for key in needed if not getattr(self, key)]
            if missing:
                raise ValueError(f"dicom_tls_address needs {' and '.join(missing)} too")
        return self

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
            raise ValueError("is no time zone: use a name such as Europe/Berlin") from error
        except KeyError as error:
            raise ValueError("is not known on this machine: use a name such as Europe/Berlin") from error
        return value

    @field_validator("webhook_private")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value

    @field_validator("mail_password", "openid_client_secret")
    @classmethod
    def _reference(cls, value: str) -> str:
        if value and not value.startswith(("env:", "file:/")):
            raise ValueError("must say where the secret is: env:NAME or file:/PATH")
        return value

    @field_validator("aet")
    @classmethod
    def _title(cls, value: str) -> str:
        value = value.strip()
        # PS3.5 6.2, VR AE: 16 characters, no backslash, no control characters.
        if not 1 <= len(value) <= 16 or not all(0x20 <= ord(c) < 0x7F and c != "\\" for c in value):
            raise ValueError("must have 1 to 16 printable ASCII characters without backslash")
        return value


def split_address(address: str) -> tuple[str, int]:
    """HOST:PORT to (host, port); brackets around an IPv6 address are taken off."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _key_lines(text: str) -> dict[str, int]:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None or not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): key.start_mark.line + 1 for key, _ in node.value}


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: is not YAML: {error.problem}") from error
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}:1: must be a mapping of keys to values")
    return {str(key): value for key, value in values.items()}, _key_lines(text)


def _variables(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith("GANTRY_") or name.startswith("GANTRY_SECRET_") or name in _NOT_SETTINGS or _FOREIGN.match(name):
            continue
        key = name.removeprefix("GANTRY_").lower()
        if key in _LISTS:
            found[key] = [host.strip() for host in text.split(",") if host.strip()]
        else:
            found[key] = text
    return found


def load(
    home: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read the settings.

    The file is `GANTRY_CONFIG`, or `gantry.yaml` in the home. `home` and `overrides` (from the command line)
    win over everything. Raises ConfigError with place, key and remedy.
    """
    environ = os.environ if environ is None else environ
    variables = _variables(environ)
    chosen_home = Path(home or variables.get("home") or Config.model_fields["home"].default)
    path = Path(environ.get("GANTRY_CONFIG") or chosen_home / "gantry.yaml")
    values, lines = _read_file(path) if path.exists() else ({}, {})
    if environ.get("GANTRY_CONFIG") and not path.exists():
        raise ConfigError(f"{path}: GANTRY_CONFIG names a file that does not exist")
    merged = {**values, **variables, **(overrides or {})}
    if home is not None or "home" not in merged:
        merged["home"] = chosen_home
    merged["home"] = Path(merged["home"]).expanduser().absolute()
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        problems = []
        for issue in error.errors():
            key = str(issue["loc"][0]) if issue["loc"] else "?"
            place = (
                f"variable GANTRY_{key.upper()}"
                if key in variables
                else (f"{path}:{lines[key]}: key {key}" if key in lines else f"key {key}" if issue["loc"] else f"{path}")
            )
            reason = (
                "is not a setting; see `gantry config show`"
                if issue["type"] == "extra_forbidden"
                else issue["msg"].removeprefix("Value error, ")
            )
            problems.append(f"{place}: {reason}")
        raise ConfigError("\n".join(problems)) from error


def as_variables(config: Config) -> dict[str, str]:
    """The settings as `GANTRY_*` variables, for a process that shall run with the same ones."""
    found = {}
    for key, value in config.model_dump().items():
        text = ",".join(value) if isinstance(value, list) else str(value)
        if text or key in _LISTS:
            found[f"GANTRY_{key.upper()}"] = text
    return found


_current: Config | None = None


def use(config: Config) -> Config:
    """Make `config` the settings of this process."""
    global _current  # noqa: PLW0603  one process runs with one configuration
    _current = config
    return config


def current() -> Config:
    """The settings of this process; read on first use."""
    return _current if _current is not None else use(load())
