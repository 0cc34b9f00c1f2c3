"""What can go wrong with nodes.

NodeError
├── BadAddress        the text is no AET@host:port
├── BadNode           a field of the node has an impossible value
├── NodeExists        the name is taken
├── NodeMissing       there is no node of this name
├── NodeInUse         it still has open deliveries
├── BadQuery          what is asked for cannot be asked
└── QueryFailed       the node refused the query, could not be reached, or broke off
"""

from __future__ import annotations


class NodeError(Exception):
    """Something about a node is wrong; the message says what and what to do."""


class BadAddress(NodeError, ValueError):
    """The text is no DICOM address."""


class BadNode(NodeError, ValueError):
    """A field of the node has a value that cannot work."""


class NodeExists(NodeError):
    """A node of this name is already there."""


class NodeMissing(NodeError):
    """There is no node of this name."""


class NodeInUse(NodeError):
    """The node still has open deliveries."""


class BadQuery(NodeError, ValueError):
    """What is asked for cannot be asked."""


class QueryFailed(NodeError):
    """A node did not answer a query, a retrieval or a request for commitment as it should.

    `remedy` says what to do; `status` is the DIMSE status, None when there was none.
    """

    def __init__(self, cause: str, remedy: str = "", status: int | None = None) -> None:
        super().__init__(cause)
        self.remedy = remedy
        self.status = status
