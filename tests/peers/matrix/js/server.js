// A small provider by dcmjs-dimse that Gantry asks: node server.js '{"port": 11113, "received": "FILE", "studies": [...]}'.
// Every stored SOP Instance UID becomes a line of the file `received`; C-FIND answers those of `studies` whose
// Patient ID is asked for.
'use strict';
const fs = require('fs');
const { Dataset, Server, Scp, responses, constants, log } = require('dcmjs-dimse');
const { Status, PresentationContextResult, SopClass, StorageClass } = constants;
log.setLevel('error');

const wish = JSON.parse(process.argv[2]);
const offered = new Set([
  SopClass.Verification, SopClass.StudyRootQueryRetrieveInformationModelFind, ...Object.values(StorageClass),
]);
const syntaxes = ['1.2.840.10008.1.2.1', '1.2.840.10008.1.2'];

class Provider extends Scp {
  associationRequested(association) {
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const syntax = syntaxes.find((uid) => context.getTransferSyntaxUids().includes(uid));
      if (!offered.has(context.getAbstractSyntaxUid())) {
        context.setResult(PresentationContextResult.RejectAbstractSyntaxNotSupported);
      } else if (!syntax) {
        context.setResult(PresentationContextResult.RejectTransferSyntaxesNotSupported);
      } else {
        context.setResult(PresentationContextResult.Accept, syntax);
      }
    }
    this.sendAssociationAccept();
  }

  cEchoRequest(request, callback) {
    const response = responses.CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  cStoreRequest(request, callback) {
    fs.appendFileSync(wish.received, `${request.getDataset().getElement('SOPInstanceUID')}\n`);
    const response = responses.CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  cFindRequest(request, callback) {
    const asked = request.getDataset().getElement('PatientID');
    const found = wish.studies.filter((study) => !asked || study.PatientID === asked).map((study) => {
      const response = responses.CFindResponse.fromRequest(request);
      response.setDataset(new Dataset({ QueryRetrieveLevel: 'STUDY', ...study }));
      response.setStatus(Status.Pending);
      return response;
    });
    const last = responses.CFindResponse.fromRequest(request);
    last.setStatus(Status.Success);
    callback([...found, last]);
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

const options = {};
if (wish.key) {
  options.securityOptions = {
    key: fs.readFileSync(wish.key), cert: fs.readFileSync(wish.certificate), ca: fs.readFileSync(wish.authority),
    requestCert: true, rejectUnauthorized: true,
  };
}
fs.writeFileSync(wish.received, '');
new Server(Provider).listen(wish.port, options);
