"""Tells the mesh how attempts ended, until it has acknowledged that."""

import queue
import threading
import time

import grpc

from mesh import pauses
from planaria.task.v1 import task_service_pb2 as task

REPORT_BYTES_MAX = 1024 * 1024


class Reports:
    def __init__(self, worker):
        self.worker, self.ended, self.lock = worker, queue.Queue(), threading.Lock()
        threading.Thread(target=self.run, daemon=True).start()

    def end(self, attempt, result):
        with self.lock:  # the first result counts
            if attempt.result is None:
                attempt.result = result
                self.ended.put(attempt)

    def run(self):
        """A report holds what ended while the one before was under way."""
        batch, waits = [], pauses()
        while True:
            size = sum(attempt.result.ByteSize() for attempt in batch)
            while not batch or (not self.ended.empty() and size < REPORT_BYTES_MAX):
                batch.append(self.ended.get())
                size += batch[-1].result.ByteSize()
            held = self.worker.attempts  # what was abandoned meanwhile is nobody's business
            batch = [attempt for attempt in batch if held.get(attempt.id) is attempt]
            report = task.ReportResultsRequest(
                session_id=self.worker.session_id, results=[attempt.result for attempt in batch]
            )
            try:
                verdicts = self.worker.tasks.ReportResults(report, timeout=10).verdicts
                batch, waits = self.settle(batch, verdicts), pauses()
            except grpc.RpcError:
                time.sleep(next(waits))

    def settle(self, batch, verdicts):
        """Forgets what was judged. An output that is not taken becomes a failure that says so."""
        again = []
        for attempt, verdict in zip(batch, verdicts):
            rejected = verdict.acceptance == task.ACCEPTANCE_REJECTED
            if rejected and not attempt.result.HasField("failure"):
                attempt.result = attempt.failed(verdict.detail, retryable=False)
                again.append(attempt)
            else:
                self.worker.attempts.pop(attempt.id, None)
        return again
