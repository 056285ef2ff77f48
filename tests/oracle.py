#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Repeats recorded conversations with hawkBit 1.0.4 against our update server and counts what agrees.

  tests/oracle.py [--build BUILD] [FILE...]      FILE: targets, software, actions, ddi, rollouts, system

The recordings and the program that repeats them are no part of this repository: they are looked for in
$DRIVELINE_SHARED/oracle, else in ../shared/oracle beside the repository. Each file gets a fresh server; all
run at once. Steps that differ on purpose are in docs/hawkbit-differences.md. Exit status: 0 if every file
reaches its share, 1 if not, 77 if there is nothing to compare with.
"""
import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("DRIVELINE_SHARED", ROOT.parent / "shared"))
FOLDER = SHARED / "oracle"
# The least share of steps that must agree.
LEAST = {"targets": 0.995, "software": 0.995, "actions": 0.995, "ddi": 0.995, "rollouts": 0.995, "system": 0.995}
USERS = ["admin:admin:DEFAULT:TENANT_ADMIN", "reader:reader:DEFAULT:READ_TARGET", "repo:repo:DEFAULT:REPOSITORY_ADMIN",
         "nobody:nobody:DEFAULT:", "other:other:OTHER:TENANT_ADMIN"]


def is_there():
    return (FOLDER / "replay.py").is_file()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, server):
    tick = threading.Event()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        tick.wait(0.02)
    raise RuntimeError("the update server did not start")


def replay(build, name, database=None):
    """(steps that agree, steps, the differences as text) of one file against a fresh server, on PostgreSQL if
    `database` makes an empty one of a name and returns its address."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="driveline-oracle-") as data:
        argv = [str(pathlib.Path(build) / "src/tool/driveline"), "serve", "ota", "--listen", f"127.0.0.1:{port}", "--data",
                data, "--log-level", "error"]
        if database:
            argv += ["--database", database(name)]
        for user in USERS:
            argv += ["--user", user]
        server = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        try:
            wait_for(port, server)
            done = subprocess.run([sys.executable, str(FOLDER / "replay.py"), "--base", f"http://127.0.0.1:{port}", "--setup",
                                   str(FOLDER / f"{name}.jsonl")], capture_output=True, text=True, timeout=500, check=False)
        finally:
            server.terminate()
            status = server.wait(timeout=30)
    found = re.search(r"(\d+) of (\d+) steps agree", done.stdout)
    if not found or status != 0:
        raise RuntimeError(f"{name}: the server ended with {status}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return int(found.group(1)), int(found.group(2)), done.stdout


def replay_all(build, names, database=None):
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(lambda name: replay(build, name, database), names)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.environ.get("DRIVELINE_BUILD", ROOT / "build"))
    parser.add_argument("file", nargs="*", default=list(LEAST))
    args = parser.parse_args()
    if not is_there():
        print(f"SKIPPED: no recordings of hawkBit in {FOLDER}; set DRIVELINE_SHARED")
        return 77
    worst = 0
    for name, (agreed, steps, text) in replay_all(args.build, args.file).items():
        print(text, end="")
        print(f"{name}: {100 * agreed / steps:.2f} % of {steps} steps agree, at least {100 * LEAST[name]:g} % are due")
        worst |= agreed < LEAST[name] * steps
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
