"""The worker's heart: beats, keeps the session's lease, and stops everything if it cannot.

It runs in threads of the worker. The interpreter changes threads every few milliseconds, so the
heart beats on while functions in Python compute. C code that holds the interpreter's lock for more
than a second silences it: such code belongs into a process of its own.
"""

import os
import signal
import threading
import time

import grpc

from mesh import pauses, payload
from planaria.failure_detector.v1 import failure_detector_service_pb2 as liveness
from planaria.task.v1 import task_service_pb2 as task

RENEW_AFTER_S = 3
FENCE_MARGIN_S = 2


def clock():
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # it goes on while the machine sleeps


class Heart:
    """Lives as long as the session that `answer` (an OpenSessionResponse) grants."""

    def __init__(self, worker, answer, asked_at):
        self.worker, self.session_id = worker, answer.session_id
        self.interval_s = answer.heartbeat_interval.ToTimedelta().total_seconds()
        self.sent_at = {}  # of beats that are not answered yet, by their number
        self.ends_at = 0
        self.renewed(answer.lease, asked_at)
        for part in (self.beat, self.guard):
            threading.Thread(target=part, daemon=True).start()

    def stopped(self):
        return self.worker.session_id != self.session_id

    def renewed(self, lease, asked_at):
        """Counts from the question: its answer may have waited while this process was stopped."""
        ends_at = asked_at + lease.ToTimedelta().total_seconds()
        if ends_at >= self.ends_at:
            self.renewed_at, self.ends_at = asked_at, ends_at

    def fenced(self):
        """Whether the lease is over or nearly so: nothing may begin, what runs must stop."""
        return clock() > self.ends_at - FENCE_MARGIN_S

    def beat(self):
        """Keeps a heartbeat stream open, and does what the answers say."""
        waits = pauses()
        while not self.stopped():
            stream = self.worker.detector.Heartbeat(self.beats())
            try:
                for answer in stream:
                    waits = pauses()
                    sent_at = self.sent_at.pop(answer.sequence, None)
                    if answer.HasField("lease") and sent_at is not None:
                        self.renewed(answer.lease, sent_at)
                    self.worker.abandon(answer.abandon)
                    if answer.drain:
                        os.kill(os.getpid(), signal.SIGTERM)
                    if answer.session_gone:
                        self.worker.broken.set()
                        break
            except grpc.RpcError:
                pass  # the stream broke: open it again at once
            stream.cancel()
            time.sleep(next(waits))

    def beats(self):
        """The messages of one stream; its other end knows nothing of those before."""
        me, told = self.worker.identity, {}
        functions = [f"{function.name}:{function.version}" for function in me.functions]
        self.sent_at.clear()
        facts = liveness.WorkerFacts(
            host=me.host, pid=me.pid, version=me.version, capacity=me.capacity, functions=functions
        )
        while not self.stopped():
            attempts = list(self.worker.attempts.values())
            sequence = next(self.worker.sequence)
            self.sent_at[sequence] = clock()
            yield liveness.HeartbeatRequest(
                session_id=self.session_id,
                worker_id=me.worker_id,
                incarnation=me.incarnation,
                sequence=sequence,
                attempts=[self.describe(attempt, told) for attempt in attempts],
                draining=self.worker.leaving.is_set(),
                facts=facts,
            )
            facts = None
            time.sleep(self.interval_s)

    def describe(self, attempt, told):
        """What is told of one attempt; the checkpoint only if it is news."""
        checkpoint, before = payload(attempt.checkpoint), told.get(attempt.id)
        told[attempt.id] = checkpoint
        given = attempt.given
        return liveness.RunningAttempt(
            attempt_id=attempt.id,
            progress_count=attempt.progress_count,
            progress=attempt.note,
            checkpoint=None if checkpoint == before else checkpoint,
            progress_timeout=given.progress_timeout if given.HasField("progress_timeout") else None,
        )

    def guard(self):
        """Renews the lease while no failure detector does; nobody else may have what we run."""
        while not self.stopped():
            time.sleep(0.5)
            if self.fenced():
                attempts = list(self.worker.attempts.values())
                self.worker.abandon([each.id for each in attempts if each.result is None])
            if clock() > self.renewed_at + RENEW_AFTER_S:
                held = task.RenewSessionRequest(
                    session_id=self.session_id, attempt_ids=list(self.worker.attempts)
                )
                asked_at = clock()
                try:
                    answer = self.worker.tasks.RenewSession(held, timeout=2)
                    self.worker.abandon(answer.abandon)
                    self.renewed(answer.lease, asked_at)
                except grpc.RpcError as error:
                    if error.code() == grpc.StatusCode.NOT_FOUND:
                        self.worker.broken.set()
