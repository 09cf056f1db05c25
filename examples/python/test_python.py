"""The worker and the client in Python against a mesh of real processes.

    PLANARIA_BIN=../../target/release/planaria python test_python.py
"""

import itertools
import json
import signal
import subprocess
import sys
import time
import unittest

import grpc

import stage
from stage import HERE, SERVICES, until

from client import Client  # after the stage, which says where the mesh is
from mesh import channel
from planaria.failure_detector.v1 import failure_detector_service_pb2 as liveness
from planaria.failure_detector.v1 import failure_detector_service_pb2_grpc as liveness_rpc
from planaria.types.v1 import types_pb2 as types

MESH = stage.Stage()
WORKFLOWS = HERE.parent / "workflows"
OUTAGE_S = 1.0
FIGURES = []
NUMBERS = itertools.count(1)


def setUpModule():
    unittest.addModuleCleanup(MESH.end)
    MESH.begin()


def document(name, function, arguments):
    """A definition of one task, in JSON, which is YAML too."""
    header = {"dsl": "1.0.3", "namespace": "python", "name": name, "version": "1.0.0"}
    task = {"call": function, "with": arguments}
    return json.dumps({"document": header, "do": [{"work": task}]}).encode()


class PythonTest(unittest.TestCase):
    def setUp(self):
        self.client, self.trouble = Client(), None
        self.detector = liveness_rpc.FailureDetectorServiceStub(channel())

    def worker(self, name, start):
        """A worker for this test; returns when it beats."""
        process = start(name)
        self.addCleanup(MESH.kill, name)
        try:
            until(f"{name} beats", lambda: self.known(name), is_alive)
        except AssertionError as error:
            process.send_signal(signal.SIGABRT)  # Python tells where its threads are
            process.wait()
            raise AssertionError(f"{self.trouble}\n{MESH.log(name).read_text()}") from error
        return process

    def python(self, name):
        return self.worker(name, MESH.python_worker)

    def rust(self, name):
        return self.worker(name, MESH.rust_worker)

    def known(self, name):
        """The failure detector's word on a worker, or None."""
        try:
            workers = self.detector.ListWorkers(liveness.ListWorkersRequest(), timeout=2).workers
        except grpc.RpcError as error:  # while services are down
            self.trouble = error
            return None
        return next((worker for worker in workers if worker.id == name), None)

    def start(self, function, arguments):
        source = document(f"{function}-{next(NUMBERS)}", function, arguments)
        return self.client.start(self.client.publish(source), {})

    def task(self, workflow_id):
        """The run of the only task."""
        return next(task for task in self.client.get(workflow_id).tasks if task.name == "work")

    def runs_at(self, workflow_id, worker):
        here = lambda task: task.state == "running" and task.worker_id == worker
        return until(f"{worker} executes it", lambda: self.task(workflow_id), here)

    def ended(self, workflow_id, phase):
        """Waits for the end, which must be that phase."""
        done = lambda workflow: workflow.phase in (types.PHASE_COMPLETED, types.PHASE_FAULTED)
        ended = until("the workflow ends", lambda: self.client.get(workflow_id), done)
        self.assertEqual(ended.phase, phase, ended)
        return ended

    def output(self, workflow_id):
        return json.loads(self.ended(workflow_id, types.PHASE_COMPLETED).output.data)

    def completed(self, workflow_id):
        """Waits for the end; returns the output and the run of the task."""
        return self.output(workflow_id), self.task(workflow_id)

    def assertCounts(self, task, worker, attempts, losses, failures=0):
        counted = (task.worker_id, task.attempts, task.losses, task.failures)
        self.assertEqual(counted, (worker, attempts, losses, failures), task)


def is_alive(worker):
    return worker is not None and worker.liveness == liveness.LIVENESS_ALIVE


def beat_at(worker):
    """The last heartbeat, in seconds since 1970."""
    return worker.last_beat_at.ToNanoseconds() / 1e9


class Executing(PythonTest):
    def client_program(self, *arguments):
        command = [sys.executable, str(HERE / "client.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_the_client_runs_what_the_worker_executes(self):
        self.python("hello")
        hello = str(WORKFLOWS / "hello.yaml")
        ended = self.client_program(hello, '{"name": "Ada"}')
        self.assertEqual((ended.returncode, ended.stdout), (0, '{"greeting":"Hello Ada"}\n'), ended)
        ended = self.client_program(hello, '{"name": ""}')
        self.assertEqual(ended.returncode, 1)
        self.assertIn("Permanent: a guest needs a name", ended.stderr)

    def test_the_examples_run(self):
        self.python("examples")
        order = self.client.publish((WORKFLOWS / "order.yaml").read_bytes())
        for given, payment in [
            ({"order": 1, "total": 120}, "paid"),
            ({"order": 2, "total": 5000}, {"unpaid": "The card was refused"}),
        ]:
            output = self.output(self.client.start(order, given))
            self.assertEqual(output, {"order": given["order"], "payment": payment, "stock": 3})
        approval = self.client.publish((WORKFLOWS / "approval.yaml").read_bytes())
        asked = self.client.start(approval, {})
        by = {"approved": True, "by": "Ada"}
        self.client.signal(asked, "com.example.approval", by)
        self.assertEqual(self.output(asked), {"state": "approved", "by": "Ada"})

    def test_failures_are_retried_and_outputs_too_large_are_failures(self):
        self.python("failing")
        output, task = self.completed(self.start("simulate", {"fail": 1}))
        self.assertEqual(output, {"attempt": 2})
        self.assertCounts(task, "failing", attempts=2, losses=0, failures=1)
        for times in (400_000, 2_000_000):
            large = self.start("repeat", {"text": "x", "times": times})
            faulted = self.ended(large, types.PHASE_FAULTED)
            self.assertRegex(faulted.error.detail, "has [0-9]+ bytes")

    def test_many_at_once(self):
        self.python("many")
        source = document("many", "greet", {"name": "Ada"})
        reference = self.client.publish(source)
        began = time.monotonic()
        started = [self.client.start(reference, {}) for _ in range(200)]
        for workflow_id in started:
            _, task = self.completed(workflow_id)
            self.assertCounts(task, "many", attempts=1, losses=0)
        FIGURES.append(f"200 workflows one by one: {time.monotonic() - began:.1f} s")


class Dying(PythonTest):
    def dies(self, victim, process, heir, start):
        """SIGKILL of the worker that executes; the other one executes it again."""
        workflow_id = self.start("simulate", {"sleep": "PT2S"})
        self.runs_at(workflow_id, victim)
        self.worker(heir, start)
        process.kill()
        killed = time.monotonic()
        self.runs_at(workflow_id, heir)
        FIGURES.append(f"{victim} killed, {heir} executes: {time.monotonic() - killed:.2f} s")
        output, task = self.completed(workflow_id)
        self.assertEqual(output, {"attempt": 2})
        self.assertCounts(task, heir, attempts=2, losses=1)

    def test_what_python_had_goes_on_in_rust(self):
        self.dies("python-victim", self.python("python-victim"), "rust-heir", MESH.rust_worker)

    def test_what_rust_had_goes_on_in_python(self):
        self.dies("rust-victim", self.rust("rust-victim"), "python-heir", MESH.python_worker)

    def test_sigterm_hands_back_with_the_checkpoint(self):
        leaving = self.python("leaving")
        workflow_id = self.start("count", {"to": 20})
        self.runs_at(workflow_id, "leaving")
        told = lambda worker: any(each.progress_count >= 3 for each in worker.attempts)
        until("it counted to 3", lambda: self.known("leaving"), told)
        self.python("staying")
        leaving.send_signal(signal.SIGTERM)
        signalled = time.monotonic()
        self.runs_at(workflow_id, "staying")
        FIGURES.append(f"SIGTERM, executes elsewhere: {time.monotonic() - signalled:.2f} s")
        self.assertEqual(leaving.wait(10), 0, MESH.log("leaving").read_text())
        output, task = self.completed(workflow_id)
        self.assertGreaterEqual(output["from"], 3)
        self.assertCounts(task, "staying", attempts=2, losses=0)
        left = lambda worker: worker is None or worker.liveness == liveness.LIVENESS_LEFT
        until("it is known to have left", lambda: self.known("leaving"), left)

    def test_a_drained_worker_leaves(self):
        drained = self.python("drained")
        request = liveness.DrainWorkerRequest(worker_id="drained")
        self.detector.DrainWorker(request, timeout=5)
        self.assertEqual(drained.wait(10), 0, MESH.log("drained").read_text())

    def test_a_newer_start_of_the_same_worker_supersedes_the_older(self):
        older = self.python("twin")
        newer = MESH.python_worker("twin")  # under the same name: the older one is ours to end
        self.addCleanup(older.wait)
        self.addCleanup(older.kill)
        self.assertEqual(older.wait(20), 1)
        self.assertIsNone(newer.poll())

    def test_a_zombie_comes_back_with_a_new_session_and_its_result_does_not_count(self):
        zombie = self.python("zombie")
        session_id = self.known("zombie").session_id
        workflow_id = self.start("simulate", {"sleep": "PT2S"})
        self.runs_at(workflow_id, "zombie")
        self.rust("awake")
        zombie.send_signal(signal.SIGSTOP)
        self.addCleanup(zombie.send_signal, signal.SIGCONT)
        self.runs_at(workflow_id, "awake")
        zombie.send_signal(signal.SIGCONT)
        output, task = self.completed(workflow_id)
        self.assertEqual(output, {"attempt": 2})
        self.assertCounts(task, "awake", attempts=2, losses=1)
        anew = lambda worker: is_alive(worker) and worker.session_id != session_id
        until("the zombie has a new session", lambda: self.known("zombie"), anew)
        MESH.kill("awake")
        _, task = self.completed(self.start("simulate", {}))
        self.assertCounts(task, "zombie", attempts=1, losses=0)


class Staying(PythonTest):
    def test_each_service_is_killed_and_the_worker_goes_on(self):
        self.python("survivor")
        for service in SERVICES:
            with self.subTest(service=service):
                self.service_dies(service)

    def service_dies(self, service):
        session_id = self.known("survivor").session_id
        workflow_id = self.start("simulate", {"sleep": "PT2.5S", "output": service})
        self.runs_at(workflow_id, "survivor")
        MESH.kill(service)
        time.sleep(OUTAGE_S)  # the outage itself: nothing is waited for here
        MESH.serve(service)
        back = time.time()
        beats = lambda worker: is_alive(worker) and beat_at(worker) > back
        worker = until("it beats again", lambda: self.known("survivor"), beats)
        self.assertEqual(worker.session_id, session_id)
        beats_after = beat_at(worker) - back
        output, task = self.completed(workflow_id)
        self.assertEqual(output, service)
        self.assertCounts(task, "survivor", attempts=1, losses=0)
        _, task = self.completed(self.start("greet", {"name": "Ada"}))
        self.assertCounts(task, "survivor", attempts=1, losses=0)
        down = f"{service} down for {OUTAGE_S:.0f} s"
        FIGURES.append(f"{down}, beats again after {beats_after:.2f} s")

    def test_ten_seconds_of_a_busy_interpreter(self):
        self.python("busy")
        began = time.monotonic()
        computing = [self.start("compute", {"seconds": 10}) for _ in range(2)]
        beats, is_over = [], False
        while not is_over:
            worker = self.known("busy")
            self.assertTrue(is_alive(worker), worker)
            beats.append(beat_at(worker))
            phases = [self.client.get(each).phase for each in computing]
            is_over = all(phase == types.PHASE_COMPLETED for phase in phases)
            self.assertLess(time.monotonic() - began, stage.PATIENCE_S)
            time.sleep(stage.POLL_S)
        for workflow_id in computing:
            output, task = self.completed(workflow_id)
            self.assertGreater(output["rounds"], 0)
            self.assertCounts(task, "busy", attempts=1, losses=0)
        pause_max = max(later - earlier for earlier, later in itertools.pairwise(beats))
        busy = time.monotonic() - began
        FIGURES.append(f"busy for {busy:.1f} s, longest pause between beats {pause_max:.2f} s")


if __name__ == "__main__":
    began = time.monotonic()
    outcome = unittest.main(exit=False, verbosity=2).result
    for figure in FIGURES:
        print(f"  {figure}")
    broken = len(outcome.failures) + len(outcome.errors)
    words = "all good" if outcome.wasSuccessful() else f"{broken} broken"
    print(f"python: {outcome.testsRun} tests in {time.monotonic() - began:.1f} s, {words}")
    sys.exit(not outcome.wasSuccessful())
