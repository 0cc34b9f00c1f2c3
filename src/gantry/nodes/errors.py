"""What can go wrong with nodes.

NodeError
├── BadAddress        the text is no AET@host:port
├── BadNode           a field of the node has an impossible value
├── NodeExists        the name is taken
├── NodeMissing       there is no node of this name
└── NodeInUse         it still has open deliveries
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
