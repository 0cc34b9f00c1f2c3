// One question to Gantry by dcmjs-dimse: node client.js '{"service": "echo", "port": 11112, ...}'.
// Prints what came back as one line of JSON; exit status 1 when the network or the answer failed.
'use strict';
const fs = require('fs');
const { Client, Dataset, requests, responses, constants, log } = require('dcmjs-dimse');
const { Status, SopClass } = constants;
log.setLevel('error');

const wish = JSON.parse(process.argv[2]);
const answer = { statuses: [], matches: [], stored: [], reports: [] };
let failed = '';

function questions() {
  switch (wish.service) {
    case 'echo':
      return [new requests.CEchoRequest()];
    case 'store':
      return wish.files.map((file) => new requests.CStoreRequest(file));
    case 'find':
      return [requests.CFindRequest.createStudyFindRequest(wish.keys)];
    case 'move':
      return [requests.CMoveRequest.createStudyMoveRequest(wish.destination, wish.study)];
    case 'get': {
      const request = requests.CGetRequest.createStudyGetRequest(wish.study);
      request.setAddStorageSopClassesToAssociation(true);
      return [request];
    }
    case 'commit': {
      const push = '1.2.840.10008.1.20.1';
      const request = new requests.NActionRequest(push, '1.2.840.10008.1.20.1.1', 1);
      request.setDataset(new Dataset({
        TransactionUID: wish.transaction,
        ReferencedSOPSequence: wish.instances.map(([sopClass, instance]) => ({
          ReferencedSOPClassUID: sopClass, ReferencedSOPInstanceUID: instance,
        })),
      }));
      return [request];
    }
    default:
      throw new Error(`no service ${wish.service}`);
  }
}

const client = new Client();
for (const request of questions()) {
  request.on('response', (response) => {
    answer.statuses.push(response.getStatus());
    if (response.getStatus() === Status.Pending && response.hasDataset && response.hasDataset()) {
      answer.matches.push(response.getDataset().getElements());
    }
  });
  client.addRequest(request);
}
client.on('cStoreRequest', (request, callback) => {
  answer.stored.push(request.getDataset().getElement('SOPInstanceUID'));
  const response = responses.CStoreResponse.fromRequest(request);
  response.setStatus(Status.Success);
  callback(response);
});
client.on('networkError', (error) => { failed = String(error && error.message || error); });
client.on('associationRejected', (result) => { failed = `rejected: ${JSON.stringify(result)}`; });
client.on('closed', () => {
  answer.failed = failed;
  console.log(JSON.stringify(answer));
  process.exit(failed ? 1 : 0);
});
const options = {};
if (wish.key) {
  options.securityOptions = {
    key: fs.readFileSync(wish.key), cert: fs.readFileSync(wish.certificate), ca: fs.readFileSync(wish.authority),
    rejectUnauthorized: true,
  };
}
client.send('127.0.0.1', wish.port, wish.caller, 'GANTRY', options);
