"""A mesh of real processes for the tests, which ends with them.

PLANARIA_BIN names the binary. Each service is a process of `planaria serve` on a free port, with a
temporary folder for its files.
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BINARY = os.environ.get("PLANARIA_BIN") or sys.exit("PLANARIA_BIN must name the planaria binary")
SERVICES = [
    "orchestrator",
    "failure-detector",
    "retry-engine",
    "notification",
    "monitoring",
    "gateway",
]
PATIENCE_S = 30
POLL_S = 0.02


def free_ports(count):
    """Ports that nobody has now; held together, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


PORTS = dict(zip(SERVICES, free_ports(len(SERVICES))))
# The client reads it when it is imported.
os.environ["PLANARIA_ADDR"] = f"http://127.0.0.1:{PORTS['gateway']}"


def until(what, state, wanted=bool):
    """Polls `state` until it is as wanted; returns it."""
    end = time.monotonic() + PATIENCE_S
    while True:
        seen = state()
        if wanted(seen):
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"in {PATIENCE_S} s it did not come to this: {what}\n{seen}")
        time.sleep(POLL_S)


# Whatever becomes of the tests, their processes end with them. (A preexec_fn would do this too, but
# it makes a child run gRPC's handlers of a fork, in which it may hang.)
DIES_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Stage:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="planaria-python-")
        self.processes = {}
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PLANARIA__")
        }
        for name, port in PORTS.items():
            key = f"PLANARIA__DIRECTORY__{name.replace('-', '_').upper()}"
            self.environment[key] = f"http://127.0.0.1:{port}"

    def begin(self):
        for name in SERVICES:
            self.serve(name)

    def end(self):
        """Ends every process; safe to call at any time."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        self.folder.cleanup()

    def log(self, name):
        return pathlib.Path(self.folder.name) / f"{name}.log"

    def spawn(self, name, command, environment):
        with open(self.log(name), "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-ISc", DIES_WITH_PARENT, *command],
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes[name] = process
        return process

    def serve(self, name):
        """Starts a service; it serves when this returns."""
        address = ("127.0.0.1", PORTS[name])
        command = [BINARY, "serve", name, "--admin", "off", "--data-dir", self.folder.name]
        process = self.spawn(name, [*command, "--listen", f"127.0.0.1:{address[1]}"], {})

        def listens():
            if process.poll() is not None:
                raise AssertionError(f"{name} ended:\n{self.log(name).read_text()}")
            with socket.socket() as probe:
                return probe.connect_ex(address) == 0

        until(f"{name} listens", listens)

    def rust_worker(self, name):
        """The built-in worker, for the function `simulate` alone."""
        settings = {
            "PLANARIA__WORKER__ID": name,
            "PLANARIA__WORKER__GATEWAY": os.environ["PLANARIA_ADDR"],
            "PLANARIA__WORKER__FUNCTIONS": '["simulate"]',
        }
        command = [BINARY, "serve", "worker", "--listen", "127.0.0.1:0", "--admin", "off"]
        return self.spawn(name, [*command, "--data-dir", self.folder.name], settings)

    def python_worker(self, name):
        command = [sys.executable, str(HERE / "worker.py")]
        return self.spawn(name, command, {"PLANARIA_WORKER_ID": name, "PYTHONFAULTHANDLER": "1"})

    def kill(self, name):
        """SIGKILL, and its end."""
        process = self.processes.pop(name, None)
        if process is not None:
            process.kill()
            process.wait()
