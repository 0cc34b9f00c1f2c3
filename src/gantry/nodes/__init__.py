"""Places we talk to, behind one interface.

echo()              is it there, and does it know us?
find.find()         what a node has: an async iterator of answers, checked against what was asked
fetch.fetch()       studies, series, instances into the home or a folder; what is missing is named
commit.commit()     storage commitment
probe.probe()       what a node can do
send()              stored instances over several associations, bytes verbatim, digests compared
registry            add, list, get, enable, remove: the table of nodes
"""

from gantry.nodes.address import DimseAddress
from gantry.nodes.echo import EchoResult, echo
from gantry.nodes.items import Outcome, SendItem, SendOutcome, SendResult, SendTarget
from gantry.nodes.send import send

__all__ = ["DimseAddress", "EchoResult", "Outcome", "SendItem", "SendOutcome", "SendResult", "SendTarget", "echo", "send"]
