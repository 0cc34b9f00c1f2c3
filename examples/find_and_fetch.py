"""Finds the studies of a patient on a PACS and fetches the first of them into a folder by C-GET, on one association.

python examples/find_and_fetch.py localhost 11112 PACS 4711 study
"""

import asyncio
import sys

from dimse import ContextProposal
from dimse.aio import connect
from dimse.aio.files import Folder
from dimse.identifier import Identifier
from dimse.negotiation import STUDY_ROOT_FIND, STUDY_ROOT_GET
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, all_of, name_of

PLAIN = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
IMAGES = [uid for uid in all_of("storage") if name_of(uid).endswith("Image Storage")]
CONTEXTS = [ContextProposal(uid, PLAIN) for uid in (STUDY_ROOT_FIND, STUDY_ROOT_GET)]
CONTEXTS += [ContextProposal(uid, PLAIN, scp=True) for uid in IMAGES]  # we are the provider of what C-GET sends


async def main(host: str, port: int, pacs: str, patient: str, path: str) -> None:
    async with await connect(host, port, called_aet=pacs, calling_aet="EXAMPLE", contexts=CONTEXTS) as association:
        wanted = Identifier.of(QueryRetrieveLevel="STUDY", PatientID=patient, StudyInstanceUID="", StudyDate="")
        syntax = association.syntax_of(STUDY_ROOT_FIND)
        found = association.find(wanted.encode(syntax), sop_class_uid=STUDY_ROOT_FIND)
        studies = [Identifier.parse(answer.identifier, syntax) async for answer in found]
        for study in studies:
            print(study.text("StudyDate"), study.text("StudyInstanceUID"))
        if studies:
            one = Identifier.of(QueryRetrieveLevel="STUDY", StudyInstanceUID=studies[0].text("StudyInstanceUID"))
            folder = Folder(path)
            asked = one.encode(association.syntax_of(STUDY_ROOT_GET))
            final = await association.get(asked, sop_class_uid=STUDY_ROOT_GET, store=folder).finish()
            print(f"{folder.count} instances, status {final.status:04X} {final.comment}")


asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]))
