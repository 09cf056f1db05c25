"""A Planaria client on nothing but the code that `generate.py` makes from the contract.

    python client.py ../workflows/hello.yaml '{"name": "Ada"}'

publishes the definition, starts a workflow, shows what happens to it, and prints its output.
`python client.py --signal WORKFLOW_ID TYPE '{"by": "Ada"}'` delivers an event to a workflow.
"""

import json
import pathlib
import sys
import time
import uuid

import grpc

from mesh import channel, pauses, payload
from planaria.types.v1 import types_pb2 as types
from planaria.workflow.v1 import definition_service_pb2 as definition
from planaria.workflow.v1 import definition_service_pb2_grpc as definition_rpc
from planaria.workflow.v1 import workflow_service_pb2 as workflow
from planaria.workflow.v1 import workflow_service_pb2_grpc as workflow_rpc

TIMEOUT_S = 5
PATIENCE_S = 60


def patiently(call, request):
    """Calls until there is an answer: everything here is safe to repeat."""
    waits, end = pauses(), time.monotonic() + PATIENCE_S
    while True:
        try:
            return call(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            passing = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            if error.code() not in passing or time.monotonic() > end:
                raise
        time.sleep(next(waits))


class Client:
    def __init__(self):
        gateway = channel()
        self.definitions = definition_rpc.DefinitionServiceStub(gateway)
        self.workflows = workflow_rpc.WorkflowServiceStub(gateway)

    def publish(self, source):
        """Publishes a document (bytes); the same one again changes nothing."""
        request = definition.PutDefinitionRequest(source=source)
        return patiently(self.definitions.PutDefinition, request).definition.reference

    def start(self, reference, document):
        """Starts a workflow; the key makes a repetition find the one that was started."""
        start = workflow.WorkflowStart(
            definition=reference, input=payload(document), idempotency_key=str(uuid.uuid4())
        )
        request = workflow.StartWorkflowRequest(start=start)
        return patiently(self.workflows.StartWorkflow, request).workflow_id

    def get(self, workflow_id):
        """The workflow with its tasks."""
        request = workflow.GetWorkflowRequest(workflow_id=workflow_id)
        return patiently(self.workflows.GetWorkflow, request).workflow

    def signal(self, workflow_id, kind, document):
        """Delivers an event; its id makes a repetition harmless."""
        event = types.CloudEvent(
            id=str(uuid.uuid4()), type=kind, source="/example", data=payload(document).data
        )
        request = workflow.SignalWorkflowRequest(workflow_id=workflow_id, event=event)
        return patiently(self.workflows.SignalWorkflow, request).consumed

    def watch(self, workflow_id):
        """Yields what happens to the workflow until it ends; a broken stream goes on elsewhere."""
        seen, waits, ended = 0, pauses(), False
        while not ended:
            request = workflow.WatchWorkflowRequest(workflow_id=workflow_id, after_seq=seen)
            try:
                for message in self.workflows.WatchWorkflow(request):
                    waits, ended = pauses(), bool(message.ended)
                    for event in message.events:
                        seen = event.seq
                        yield event
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
            time.sleep(0 if ended else next(waits))


def show(event):
    """One line of a history event."""
    name = event.WhichOneof("event")
    task = getattr(getattr(event, name), "task", "")
    print(f"{event.seq:4} {event.at.ToJsonString()} {name} {task}", file=sys.stderr)


def main(arguments):
    client = Client()
    if arguments[0] == "--signal":
        consumed = client.signal(arguments[1], arguments[2], json.loads(arguments[3]))
        print("consumed" if consumed else "kept until the workflow listens")
        return 0
    reference = client.publish(pathlib.Path(arguments[0]).read_bytes())
    document = json.loads(arguments[1]) if len(arguments) > 1 else {}
    workflow_id = client.start(reference, document)
    print(f"workflow {workflow_id}", file=sys.stderr)
    for event in client.watch(workflow_id):
        show(event)
    ended = client.get(workflow_id)
    if ended.phase == types.PHASE_COMPLETED:
        print(ended.output.data.decode())
        return 0
    print(f"{types.Phase.Name(ended.phase)}: {ended.error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) < 2 or (sys.argv[1] == "--signal" and len(sys.argv) != 5):
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1:]))
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
