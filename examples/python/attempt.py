"""One attempt that the worker has: what its function sees of it, and how it ends."""

import json
import threading

from mesh import payload
from planaria.task.v1 import task_service_pb2 as task
from planaria.types.v1 import types_pb2 as types

RUNTIME_ERROR = "https://serverlessworkflow.io/spec/1.0.0/errors/runtime"


class Permanent(Exception):
    """The function failed, and trying again cannot help."""


class Attempt:
    """From the assignment until the result is acknowledged.

    `number` counts the task's attempts; `idempotency_key` is the same for all of them; `checkpoint`
    is the last word of this attempt, or of the one before; `stop` is set when nobody waits for the
    result any more: a function that takes long should look at it.
    """

    def __init__(self, given):
        self.given, self.id, self.number = given, given.attempt_id, given.attempt
        self.idempotency_key = given.idempotency_key
        self.checkpoint = json.loads(given.checkpoint.data) if given.checkpoint.data else None
        self.progress_count, self.note = 0, ""
        self.stop, self.result = threading.Event(), None

    def progress(self, note, checkpoint=None):
        """Says how far the work is, and what the next attempt needs if this one is lost."""
        if checkpoint is not None:
            self.checkpoint = checkpoint
        self.note, self.progress_count = note[:60], self.progress_count + 1

    def execute(self, function, output_bytes_max):
        """Calls the function; answers with how that ended."""
        try:
            output = json.dumps(function(self, json.loads(self.given.arguments.data))).encode()
            if len(output) > output_bytes_max:
                raise Permanent(f"the output has {len(output)} bytes, {output_bytes_max} may be")
            return task.Result(token=self.given.token, output=types.Payload(data=output))
        except Exception as error:
            return self.failed(f"{type(error).__name__}: {error}", not isinstance(error, Permanent))

    def failed(self, detail, retryable):
        error = types.WorkflowError(type=RUNTIME_ERROR, status=500, detail=detail[:1000])
        failure = task.Failure(
            error=error, retryable=retryable, checkpoint=payload(self.checkpoint)
        )
        return task.Result(token=self.given.token, failure=failure)

    def released(self):
        release = task.Release(reason="the worker leaves", checkpoint=payload(self.checkpoint))
        return task.Result(token=self.given.token, release=release)
