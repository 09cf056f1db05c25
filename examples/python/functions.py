"""What the example worker can do: plain functions of an attempt and its arguments.

A function returns what JSON can say. Any exception is a failure that is tried again as the retry
policy says, except `Permanent`.
"""

import time

from attempt import Permanent


def greet(attempt, arguments):
    """Greets a guest."""
    if not arguments.get("name"):
        raise Permanent("a guest needs a name")
    return {"text": f"Hello {arguments['name']}", "attempt": attempt.number}


def count(attempt, arguments):
    """Counts slowly; an attempt goes on where the one before it left off."""
    start = (attempt.checkpoint or {}).get("counted", 0)
    for counted in range(start + 1, arguments["to"] + 1):
        if attempt.stop.wait(0.1):
            break
        attempt.progress(f"{counted} of {arguments['to']}", checkpoint={"counted": counted})
    return {"from": start, "to": arguments["to"]}


def compute(attempt, arguments):
    """Keeps the interpreter busy for so many seconds, as work in pure Python does."""
    end, rounds = time.monotonic() + arguments["seconds"], 0
    while time.monotonic() < end:
        sum(number * number for number in range(10_000))
        rounds += 1
    return {"rounds": rounds}


def simulate(attempt, arguments):
    """Pretends to work: a little of what the built-in worker's function of that name can do."""
    sleep = arguments.get("sleep", "PT0S")  # here only in seconds, e.g. PT1.5S
    attempt.stop.wait(float(sleep.removeprefix("PT").removesuffix("S")))
    if attempt.number <= int(arguments.get("fail", 0)):
        raise RuntimeError("simulated")
    return arguments.get("output", {"attempt": attempt.number})


def repeat(attempt, arguments):
    """Says something many times: its output can become larger than the mesh takes."""
    return arguments["text"] * arguments["times"]


FUNCTIONS = {
    "greet": greet,
    "count": count,
    "compute": compute,
    "repeat": repeat,
    "simulate": simulate,
}
