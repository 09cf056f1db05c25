"""What the worker and the client share: the way to the mesh, documents, and patience."""

import itertools
import json
import os
import pathlib
import random
import sys

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "generated"))
from planaria.types.v1 import types_pb2 as types  # noqa: E402 - it lies in that folder

ADDRESS = os.environ.get("PLANARIA_ADDR", "http://127.0.0.1:8080")
OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 1000),  # which means: connecting may take so long
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 3000),
]


def channel():
    """A connection to the gateway; it connects again by itself whenever it is needed."""
    return grpc.insecure_channel(ADDRESS.removeprefix("http://"), OPTIONS)


def payload(value):
    """A value as the contract carries it; None = no document."""
    return None if value is None else types.Payload(data=json.dumps(value).encode())


def pauses():
    """Seconds between tries; the first tries come within the 150 ms that harm nobody."""
    for doublings in itertools.count():
        yield min(0.02 * 2 ** min(doublings, 5), 0.5) * random.uniform(0.5, 1)
