"""Our DIMSE face: C-ECHO and C-STORE as provider.

listen()      serve one listening socket until told to stop
Receiver      what the wire engine asks: may this peer associate, where do its bytes go
"""

from gantry.receiver.acceptor import Receiver
from gantry.receiver.listen import inherited_socket, listen

__all__ = ["Receiver", "inherited_socket", "listen"]
