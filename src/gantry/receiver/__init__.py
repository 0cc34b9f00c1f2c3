"""Our DIMSE face: C-ECHO, C-STORE, C-FIND, C-GET, C-MOVE and storage commitment as provider.

listen()      serve the listening sockets until told to stop
Receiver      what the wire engine asks: may this peer associate, where do its bytes go, what does the index say
allow         who may call and for what (needs Django): allow, deny, remove
"""

from gantry.receiver.acceptor import Receiver
from gantry.receiver.listen import inherited_sockets, listen

__all__ = ["Receiver", "inherited_sockets", "listen"]
