"""What the worker and the client share: the way to the mesh, documents, and patience."""

import collections
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
API_KEY = os.environ.get("PLANARIA_API_KEY", "")
OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 1000),  # which means: connecting may take so long
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 3000),
]


class ShowKey(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Shows the API key with every call."""

    def intercept_unary_unary(self, proceed, details, request):
        return proceed(Details.showing(details), request)

    intercept_unary_stream = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary


class Details(
    collections.namedtuple("Details", "method timeout metadata credentials"),
    grpc.ClientCallDetails,
):
    @classmethod
    def showing(cls, details):
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {API_KEY}")]
        return cls(details.method, details.timeout, metadata, details.credentials)


def channel():
    """A connection to the gateway; it connects again by itself whenever it is needed."""
    plain = grpc.insecure_channel(ADDRESS.removeprefix("http://"), OPTIONS)
    return grpc.intercept_channel(plain, ShowKey()) if API_KEY else plain


def payload(value):
    """A value as the contract carries it; None = no document."""
    return None if value is None else types.Payload(data=json.dumps(value).encode())


def pauses():
    """Seconds between tries; the first tries come within the 150 ms that harm nobody."""
    for doublings in itertools.count():
        yield min(0.02 * 2 ** min(doublings, 5), 0.5) * random.uniform(0.5, 1)
