#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Measures rollouts and lists of the update server over many targets.

`rollout_bench.py [--targets N] [--groups N]` starts `driveline serve ota` on loopback with a fresh database
(SQLite, synchronous=FULL), makes the targets over the Management interface, and times a rollout from its POST
to its first group running, while a device polls without pause: the slowest of its polls says how long a pass
of the scheduler holds others up. Prints JSON. `measure_rollout()` and `measure_lists()` are for bench.py.
"""
import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "integration"))

from conftest import DRIVELINE, Program, accepts, free_port, wait_until  # noqa: E402

ADMIN = "Basic " + base64.b64encode(b"admin:admin").decode()
BATCH = 2000  # targets in one POST


class Server:
    """`driveline serve ota` with its data in a folder; one connection kept alive for the administrator."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.program = self.connection = None

    def start(self):
        self.program = Program([DRIVELINE, "serve", "ota", "--listen", f"127.0.0.1:{self.port}", "--data",
                                self.folder / "data", "--user", "admin:admin:DEFAULT:TENANT_ADMIN"],
                               self.folder / "ota.log")
        wait_until(lambda: accepts(self.port), 60, "the update server")
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        return self

    def stop(self):
        self.connection.close()
        self.program.stop(120)

    def call(self, method, path, body=None):
        headers = {"Authorization": ADMIN, "Content-Type": "application/json"}
        self.connection.request(method, "/rest/v1/" + path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]}")
        return json.loads(content) if content else None

    def timed(self, method, path, body=None):
        start = time.monotonic()
        self.call(method, path, body)
        return time.monotonic() - start


def given_targets(server, count, prefix="car"):
    """Makes targets over the Management interface; returns targets a second."""
    start = time.monotonic()
    for first in range(0, count, BATCH):
        server.call("POST", "targets", [{"controllerId": f"{prefix}{n:07d}", "name": f"{prefix}{n:07d}"}
                                        for n in range(first, min(first + BATCH, count))])
    return count / (time.monotonic() - start)


def given_set(server, version):
    module = server.call("POST", "softwaremodules", [{"name": "app", "version": version, "type": "application"}])
    return server.call("POST", "distributionsets", [{"name": "app", "version": version, "type": "app",
                                                     "modules": [{"id": module[0]["id"]}]}])[0]["id"]


def allow_devices(server):
    server.call("PUT", "system/configs/authentication.gatewaytoken.enabled", {"value": True})
    server.call("PUT", "system/configs/authentication.gatewaytoken.key", {"value": "gate"})


class Poller(threading.Thread):
    """A device that polls without pause, and how long it waited for the slowest answer."""

    def __init__(self, port, name="bystander"):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.path = f"/DEFAULT/controller/v1/{name}"
        self.times, self.ends = [], threading.Event()

    def run(self):
        while not self.ends.is_set():
            start = time.monotonic()
            self.connection.request("GET", self.path, headers={"Authorization": "GatewayToken gate"})
            self.connection.getresponse().read()
            self.times.append(time.monotonic() - start)
            self.ends.wait(0.002)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join()
        self.connection.close()

    def slowest_ms(self):
        return round(max(self.times, default=0) * 1000, 1)


def rollout_state(server, rollout):
    return server.call("GET", f"rollouts/{rollout}")["status"]


def first_group(server, rollout):
    return server.call("GET", f"rollouts/{rollout}/deploygroups?limit=1&representation=full")["content"][0]


def is_started(server, rollout):
    """The rollout runs, its first group too, and each action of that group is out to its device."""
    group = first_group(server, rollout)
    return (rollout_state(server, rollout) == "running" and group["status"] == "running"
            and group["totalTargetsPerStatus"]["scheduled"] == 0 and group["totalTargetsPerStatus"]["running"] > 0)


def start_rollout(server, name, ds, groups, query="controllerId==car*"):
    """POST, ready, start, first group running: the id and the seconds of each step."""
    marks = [time.monotonic()]
    rollout = server.call("POST", "rollouts", {"name": name, "targetFilterQuery": query, "distributionSetId": ds,
                                               "amountGroups": groups})["id"]
    marks.append(time.monotonic())
    wait_until(lambda: rollout_state(server, rollout) == "ready", 300, "ready", every=0.005)
    marks.append(time.monotonic())
    server.call("POST", f"rollouts/{rollout}/start")
    wait_until(lambda: is_started(server, rollout), 300, "the first group", every=0.005)
    marks.append(time.monotonic())
    steps = {"post_s": marks[1] - marks[0], "ready_s": marks[2] - marks[1], "start_s": marks[3] - marks[2],
             "total_s": marks[3] - marks[0]}
    return rollout, {key: round(value, 3) for key, value in steps.items()}


def measure_rollout(server, name, groups):
    """A rollout over all cars with a bystander's polls beside it; the later steps are timed too."""
    ds = given_set(server, name)
    with Poller(server.port) as poller:
        rollout, result = start_rollout(server, name, ds, groups)
        result["slowest_poll_ms"] = poller.slowest_ms()
    return rollout, result


def measure_step(server, call, is_done):
    """One request and what the server does of it by itself, beside a bystander's polls."""
    with Poller(server.port) as poller:
        start = time.monotonic()
        server.call(*call)
        answered = time.monotonic()
        wait_until(is_done, 300, "the end of the step", every=0.005)
        return {"answer_s": round(answered - start, 3), "done_s": round(time.monotonic() - start, 3),
                "slowest_poll_ms": poller.slowest_ms()}


def counts(server, rollout):
    return server.call("GET", f"rollouts/{rollout}")["totalTargetsPerStatus"]


def start_all_groups(server, rollout, groups):
    """The other groups too, one by one."""
    results = []
    for n in range(1, groups):
        path = f"rollouts/{rollout}/deploygroups?offset={n}&limit=1&representation=full"

        def is_out():
            group = server.call("GET", path)["content"][0]
            return group["status"] == "running" and group["totalTargetsPerStatus"]["scheduled"] == 0
        results.append(measure_step(server, ("POST", f"rollouts/{rollout}/triggerNextGroup"), is_out))
    return max(results, key=lambda r: r["done_s"]) if results else None


def measure_life(server, groups):
    """Every large step in a rollout's life."""
    result = {}
    rollout, result["create_and_start"] = measure_rollout(server, "first", groups)
    result["next_group"] = start_all_groups(server, rollout, groups)
    result["get_counts_ms"] = round(server.timed("GET", f"rollouts/{rollout}") * 1000, 1)
    result["stop"] = measure_step(server, ("POST", f"rollouts/{rollout}/stop"),
                                  lambda: rollout_state(server, rollout) == "stopped")
    second, result["create_over_open_actions"] = measure_rollout(server, "second", groups)
    result["next_group_superseding"] = start_all_groups(server, second, groups)
    result["delete"] = measure_step(server, ("DELETE", f"rollouts/{second}"),
                                    lambda: rollout_state(server, second) == "deleted")
    third, _ = measure_rollout(server, "third", groups)
    start_all_groups(server, third, groups)
    ds = server.call("GET", f"rollouts/{third}")["distributionSetId"]

    def is_withdrawn():
        c = counts(server, third)
        return c["running"] + c["scheduled"] == 0
    result["invalidate_by_force"] = measure_step(
        server, ("POST", f"distributionsets/{ds}/invalidate", {"actionCancelationType": "force"}), is_withdrawn)
    result["auto_assignment"] = measure_auto_assignment(server)
    return result


def measure_auto_assignment(server):
    """Over at most 10 000 of the targets: the quota of an auto-assignment is 20 000."""
    ds = given_set(server, "auto")
    created = server.call("POST", "targetfilters", {"name": "auto", "query": "controllerId==car000*"})["id"]
    path = f"distributionsets/{ds}/assignedTargets?limit=1"
    matching = server.call("GET", "targets?limit=1&q=controllerId==car000*")["total"]
    result = measure_step(server, ("POST", f"targetfilters/{created}/autoAssignDS", {"id": ds}),
                          lambda: server.call("GET", path)["total"] == matching)
    server.call("DELETE", f"targetfilters/{created}")
    return {"targets": matching, **result}


LISTS = ("targets?limit=50", "targets?limit=50&offset={last}", "targets?limit=50&sort=name:DESC",
         "targets?limit=50&sort=createdAt:DESC", "targets?limit=50&sort=lastModifiedAt:DESC",
         "targets?limit=50&sort=updateStatus:ASC", "targets?limit=50&q=controllerId==car00012*",
         "targets?limit=50&q=name==*12*", "targets?limit=50&q=updateStatus==pending",
         "targets?limit=50&q=attribute.hw==special", "targets?limit=50&q=tag==marked",
         "actions?limit=50", "actions?limit=50&q=status==running", "actions?limit=50&q=active==true",
         "rollouts?limit=50&representation=full")


def measure_lists(server, targets):
    """Milliseconds of a page of each list; the median of three."""
    result = {}
    for path in LISTS:
        path = path.format(last=max(targets - 60, 0))
        result[path] = round(statistics.median(server.timed("GET", path) for _ in range(3)) * 1000, 1)
    return result


def give_marks(server):
    """An attribute and a tag that a few of the targets have."""
    names = [f"car{n:07d}" for n in range(100)]
    tag = server.call("POST", "targettags", [{"name": "marked"}])[0]["id"]
    server.call("POST", f"targettags/{tag}/assigned", names)
    for name in names:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("PUT", f"/DEFAULT/controller/v1/{name}/configData", json.dumps({"data": {"hw": "special"}}),
                           {"Authorization": "GatewayToken gate", "Content-Type": "application/json"})
        connection.getresponse().read()
        connection.close()


@contextlib.contextmanager
def fresh_server():
    with tempfile.TemporaryDirectory(prefix="driveline-rollout-") as folder:
        server = Server(folder).start()
        try:
            allow_devices(server)
            yield server
        finally:
            server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", type=int, default=10000)
    parser.add_argument("--groups", type=int, default=5)
    parser.add_argument("--only-start", action="store_true", help="the start alone, not the life after it")
    parser.add_argument("--lists", action="store_true", help="the lists too")
    arguments = parser.parse_args()
    with fresh_server() as server:
        result = {"targets": arguments.targets, "cores": os.cpu_count(),
                  "targets_created_per_s": round(given_targets(server, arguments.targets))}
        if arguments.only_start:
            _, result["create_and_start"] = measure_rollout(server, "first", arguments.groups)
        else:
            result.update(measure_life(server, arguments.groups))
        if arguments.lists:
            give_marks(server)
            result["lists_ms"] = measure_lists(server, arguments.targets)
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
