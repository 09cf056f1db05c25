"""A Planaria worker on nothing but the code that `generate.py` makes from the contract.

It opens a session, pulls tasks, executes each in a thread, reports how that ended, and beats, so
that the mesh knows that it lives. Whatever breaks - a stream, the gateway, any service - is opened
again. SIGTERM (or Ctrl-C) hands back what it has, which goes on elsewhere at once.
"""

import itertools
import os
import signal
import socket
import sys
import threading
import time

import grpc

from mesh import channel, pauses
from attempt import Attempt
from functions import FUNCTIONS
from heart import Heart, clock
from reports import Reports
from planaria.failure_detector.v1 import failure_detector_service_pb2_grpc as liveness_rpc
from planaria.task.v1 import task_service_pb2 as task
from planaria.task.v1 import task_service_pb2_grpc as task_rpc

CAPACITY = int(os.environ.get("PLANARIA_CAPACITY", "20"))
# The engine will never grant a session: the request is invalid, or a newer start has taken over.
NEVER = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


class Worker:
    def __init__(self, worker_id):
        gateway = channel()
        self.tasks = task_rpc.TaskServiceStub(gateway)
        self.detector = liveness_rpc.FailureDetectorServiceStub(gateway)
        self.identity = task.OpenSessionRequest(
            worker_id=worker_id,
            incarnation=f"{time.time_ns():020}",
            functions=[task.Function(name=name, version="1.0.0") for name in FUNCTIONS],
            capacity=CAPACITY,
            host=socket.gethostname(),
            pid=os.getpid(),
            version="example",
        )
        self.session_id, self.pulled, self.sequence = None, set(), itertools.count(1)
        self.output_bytes_max = 0
        self.attempts, self.slots = {}, threading.Semaphore(CAPACITY)
        self.broken, self.leaving, self.error = threading.Event(), threading.Event(), None
        self.reports = Reports(self)
        self.spawn(self.keep_session)

    def spawn(self, part, *arguments):
        threading.Thread(target=part, args=arguments, daemon=True).start()

    def keep_session(self):
        """Opens the session; after each break again: the answer is the same one, or a new one."""
        waits = pauses()
        while not self.leaving.is_set():
            began = clock()
            try:
                self.enter(self.tasks.OpenSession(self.identity, timeout=3), began)
                self.broken.wait(30)  # then anyhow, to hear of new replicas
            except grpc.RpcError as error:
                if error.code() in NEVER:
                    self.error = error.details()
                    os.kill(os.getpid(), signal.SIGTERM)
            self.broken.clear()
            waits = pauses() if clock() > began + 1 else waits
            time.sleep(next(waits))

    def enter(self, answer, asked_at):
        if self.session_id != answer.session_id:
            self.session_id, self.pulled = answer.session_id, set()
            self.output_bytes_max = answer.output_bytes_max
            self.abandon(list(self.attempts))  # they were the old session's
            self.heart = Heart(self, answer, asked_at)
        for replica in set(answer.replicas) - self.pulled:
            self.pulled.add(replica)
            self.spawn(self.pull, replica, self.pulled)

    def pull(self, replica, pulled):
        request = task.PullTasksRequest(session_id=self.session_id)
        to_replica = [("planaria-replica", replica)]
        try:
            for message in self.tasks.PullTasks(request, metadata=to_replica):
                for assignment in message.assignments:
                    self.take(Attempt(assignment))
        except grpc.RpcError:
            pass  # whatever it was: the next answer to OpenSession says how to go on
        pulled.discard(replica)
        self.broken.set()

    def take(self, attempt):
        if self.attempts.setdefault(attempt.id, attempt) is not attempt:
            return  # handed over twice
        if self.leaving.is_set():
            self.reports.end(attempt, attempt.released())
        else:
            self.spawn(self.execute, attempt)

    def execute(self, attempt):
        with self.slots:  # the engine keeps to the capacity, but abandoned functions may go on
            if self.heart.fenced():
                self.abandon([attempt.id])  # the mesh misses it, and hands it out again
            if not attempt.stop.is_set():
                function = FUNCTIONS[attempt.given.function]
                self.reports.end(attempt, attempt.execute(function, self.output_bytes_max))

    def abandon(self, attempt_ids):
        for attempt_id in attempt_ids:
            attempt = self.attempts.pop(attempt_id, None)
            if attempt is not None:
                attempt.stop.set()

    def leave(self):
        self.leaving.set()
        for attempt in list(self.attempts.values()):
            self.reports.end(attempt, attempt.released())
            attempt.stop.set()
        deadline = clock() + 4
        while self.attempts and clock() < deadline:
            time.sleep(0.01)
        try:
            self.tasks.CloseSession(task.CloseSessionRequest(session_id=self.session_id), timeout=3)
        except grpc.RpcError:
            pass  # then the lease ends the session


def main():
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # for all threads: only sigwait sees them
    default_id = f"{socket.gethostname()}-{os.getpid()}"
    worker = Worker(os.environ.get("PLANARIA_WORKER_ID", default_id))
    signal.sigwait(signals)
    worker.leave()
    if worker.error:
        print(worker.error, file=sys.stderr, flush=True)
    os._exit(1 if worker.error else 0)  # without waiting for functions that still run


if __name__ == "__main__":
    main()
