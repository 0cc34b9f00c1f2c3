"""A storage provider on asyncio: takes what is sent to it and writes DICOM files.

python examples/storage_provider.py 11112 inbox          and then, say: storescu localhost 11112 *.dcm
"""

import asyncio
import sys

from dimse import Accept, AcceptedContext, AssociationInfo, AssociationRequest, PeerAddress, StoreRequest
from dimse.aio import Server
from dimse.aio.files import FileSink, Folder
from dimse.blocking import listen


class Provider:
    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def association_requested(self, request: AssociationRequest, peer: PeerAddress) -> Accept:
        return Accept()  # or Reject(): look at request.calling_aet, at peer.host

    def echo(self, association: AssociationInfo) -> int:
        return 0

    def store(self, association: AssociationInfo, request: StoreRequest, context: AcceptedContext) -> FileSink:
        return self.folder(request, context)

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        print(f"{association.calling_aet} {how}, {self.folder.count} instances so far", flush=True)


async def main(port: int, path: str) -> None:
    with listen("localhost", port) as socket:
        server = Server(socket, Provider(Folder(path)))
        print(f"listening on port {server.address[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
