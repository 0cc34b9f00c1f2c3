"""Places we talk to, behind one interface.

echo()      is it there, and does it know us?
send()      stored instances over several associations, bytes verbatim, digests compared
registry    add, list, get, enable, remove: the table of nodes
"""

from gantry.nodes.address import DimseAddress
from gantry.nodes.echo import EchoResult, echo
from gantry.nodes.items import Outcome, SendItem, SendOutcome, SendResult, SendTarget
from gantry.nodes.send import send

__all__ = ["DimseAddress", "EchoResult", "Outcome", "SendItem", "SendOutcome", "SendResult", "SendTarget", "echo", "send"]
