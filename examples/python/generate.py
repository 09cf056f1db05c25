"""Generates the Python modules of the contract (../../proto) into ./generated."""

import pathlib
import shutil
import sys

import grpc_tools
from grpc_tools import protoc

HERE = pathlib.Path(__file__).resolve().parent
CONTRACT = HERE.parents[1] / "proto"
GENERATED = HERE / "generated"


def main():
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    files = sorted(str(path) for path in CONTRACT.rglob("*.proto"))
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    paths = [f"-I{CONTRACT}", f"-I{well_known}"]
    out = [f"--python_out={GENERATED}", f"--grpc_python_out={GENERATED}"]
    return protoc.main(["protoc", *paths, *out, *files])


if __name__ == "__main__":
    sys.exit(main())
