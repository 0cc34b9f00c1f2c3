"""What the routes of this room under /api/v1 give."""

from __future__ import annotations

from ninja import Schema
from pydantic import Field

from gantry.accounts.page import Page


class AttributeOut(Schema):
    """One element of a data set."""

    path: str = Field(description="Leads to it: tags and numbers of items", examples=["00081140/0/00081155"])
    depth: int = Field(description="0: of the data set itself; more: inside of sequences")
    tag: str = Field(examples=["00100010"])
    vr: str = Field(examples=["PN"])
    keyword: str = Field(description="Empty for private elements", examples=["PatientName"])
    name: str = Field(examples=["Patient Name"])
    value: str = Field(description="As text; several values with a backslash between them")
    length: int | None = Field(description="Bytes; null where it is undefined")
    cut: bool = Field(description="The value is longer than what is shown")


class AttributePage(Page[AttributeOut]):
    """All elements of an instance, in order."""

    warnings: list[str] = Field(description="What is wrong in the data set")
    masked: bool = Field(description="Elements that may say who the patient is are left out")


class ContentOut(Schema):
    """One content item of a report."""

    kind: str = Field(description="Value type of PS3.3 C.17.3.2.1", examples=["TEXT"])
    relation: str = Field(examples=["CONTAINS"])
    name: str
    value: str
    reference: str = Field(description="SOP Instance UID of what it points to, or empty")
    frames: list[int]
    items: list[ContentOut]


class FactOut(Schema):
    """A line of the head of a report."""

    name: str
    value: str


class ReportOut(Schema):
    """A structured report as a tree."""

    title: str
    facts: list[FactOut]
    content: list[ContentOut]
    cut: bool = Field(description="It has more than is shown")
