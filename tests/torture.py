#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Kills programs at random moments, and checks afterwards that nothing was lost and nothing doubled.

A cloud and a car run; the car is updated again and again, now and then with a version that crashes.
Beside it a client sends telemetry and notes each message that the broker acknowledged. Meanwhile
SIGKILL goes to the agent, the app, the broker, a role of the cloud or the supervisor itself; what
nothing else restarts is started again here, as an init would. In the end:

 - each message that was acknowledged is in the store, exactly once;
 - the car's sequence numbers are there from 1 on without a gap, each once in a table;
 - the car runs a good version and goes on sending.

The same --seed gives the same order of kills (what they hit depends on the machine's timing).
"""
import argparse
import collections
import contextlib
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE / "integration"))

CAR, LOAD = "TORTURE-CAR", "TORTURE-LOAD"
# What dies how often, of 100 kills.
WEIGHTS = {"agent": 25, "app": 15, "mosquitto": 18, "store": 15, "ota": 10, "pipeline": 3, "viewer": 3, "up": 11}


def log(text):
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", flush=True)


class Sender(threading.Thread):
    """Sends telemetry as a thing of its own and remembers what was acknowledged."""

    def __init__(self, cloud, files):
        super().__init__(daemon=True)
        self.cloud, self.context = cloud, conftest.thing_context(files, LOAD)
        self.ended, self.acknowledged, self.sequence, self.reconnects = threading.Event(), set(), 0, 0

    def message(self, sequence):
        # A time of its own for each message: the store's key is device and time.
        moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(milliseconds=sequence * 10)
        return json.dumps({
            "DeviceID": LOAD, "Timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "Sequence": sequence, "SoftwareVersion": "1.0.0",
            "Battery": {"StateOfCharge": 50 + sequence % 40, "BatteryTemperature": 20.5, "EnergyAdded": sequence}})

    def run(self):
        unacknowledged = []
        while not self.ended.is_set():
            try:
                with mqtt_client.Mqtt(self.cloud.mqtt_port, self.context, LOAD, timeout=5) as mqtt:
                    while not self.ended.is_set():
                        if not unacknowledged:
                            unacknowledged = list(range(self.sequence + 1, self.sequence + 11))
                            self.sequence += 10
                        ids = {s: mqtt.send_publish(f"device/{LOAD}/telemetry", self.message(s)) for s in unacknowledged}
                        for s, identifier in ids.items():
                            mqtt.wait_acknowledged(identifier)
                            self.acknowledged.add(s)
                            unacknowledged.remove(s)
                        self.ended.wait(0.1)
            except (OSError, TimeoutError, AssertionError):
                self.reconnects += 1
                self.ended.wait(0.1)


class Updates:
    """Gives the car a new version whenever it has settled on the last one; every fourth crashes."""

    def __init__(self, cloud, folder):
        self.cloud, self.folder = cloud, folder
        self.n, self.wanted, self.assigned_at = 0, None, 0.0
        self.good, self.outcomes = {"1.0.0"}, collections.Counter()

    def step(self):
        """Never raises for what a dead server causes: the next step tries again."""
        with contextlib.suppress(OSError, AssertionError, KeyError, TypeError, ValueError):
            if self.wanted and not self.is_settled():
                return
            self.assign_next()

    def is_settled(self):
        status, actions = self.cloud.api("GET", f"/rest/v1/targets/{CAR}/actions?limit=1&sort=id:DESC", timeout=3)
        if status != 200 or not actions["content"]:
            return False
        action = actions["content"][0]
        if action["status"] != "finished" and action.get("detailStatus") not in ("error", "finished"):
            # One that was lost with its server's last words would stop the test; a new one replaces it.
            return time.monotonic() - self.assigned_at > 60 * conftest.SLOW
        self.outcomes[action.get("detailStatus") or action["status"]] += 1
        return True

    def assign_next(self):
        self.n += 1
        version, bad = f"2.{self.n}.0", self.n % 4 == 0
        package = self.folder / f"{version}.zip"
        conftest.make_package(conftest.ROOT / "apps/car-python", package, version, crash=bad)
        identifier = conftest.upload(self.cloud, "car-python", version, package)
        status, _ = self.cloud.api("POST", f"/rest/v1/distributionsets/{identifier}/assignedTargets",
                                   [{"id": CAR, "type": "forced"}], timeout=5)
        assert status == 200, status
        self.wanted, self.assigned_at = version, time.monotonic()
        if not bad:
            self.good.add(version)


class Torture:
    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.cloud = conftest.Cloud(folder, poll_interval="1s")
        self.cloud.start()
        self.files = self.cloud.create_thing(CAR)
        self.agent = None
        self.sender = Sender(self.cloud, self.cloud.create_thing(LOAD))
        self.updates = Updates(self.cloud, folder)
        self.killed, self.restarts = collections.Counter(), collections.Counter()

    def keep_running(self):
        """What an init would do: start again what has ended."""
        if self.agent is None or not self.agent.program.is_running():
            self.restarts["agent"] += 1
            app = None if self.agent else conftest.ROOT / "apps/car-python"
            self.agent = self.cloud.start_tcu(CAR, "--report-ms", "250", "--trial-s", "2s", files=self.files, app=app)
            self.cloud.cars = [self.agent]
        if not self.cloud.program.is_running():
            self.restarts["up"] += 1
            self.cloud.spawn()

    def victims(self):
        alive = {"agent": self.agent.program.pid, "up": self.cloud.program.pid, **self.cloud.children()}
        apps = conftest.child_pids(self.agent.program.pid)
        if apps:
            alive["app"] = apps[0]
        return {name: pid for name, pid in alive.items() if name in WEIGHTS}

    def kill_one(self):
        victims = self.victims()
        names = sorted(victims)
        name = self.random.choices(names, [WEIGHTS[n] for n in names])[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(victims[name], signal.SIGKILL)
            self.killed[name] += 1
        for program in (self.agent.program, self.cloud.program):
            if victims[name] == program.pid:
                program.wait(5)

    def run(self, kills, deadline):
        self.keep_running()
        self.agent.wait_telemetry(2, 30)
        self.sender.start()
        while sum(self.killed.values()) < kills and time.monotonic() < deadline:
            # Mostly in quick succession, now and then long enough for an update to go through.
            conftest.pause(min(self.random.expovariate(1 / 0.55), 6) if self.random.random() > 0.03 else 8)
            self.keep_running()
            self.updates.step()
            before = sum(self.killed.values())
            self.kill_one()
            if before // 25 != sum(self.killed.values()) // 25:
                log(f"{sum(self.killed.values())} kills, {len(self.sender.acknowledged)} messages acknowledged, "
                    f"{self.updates.n} updates assigned")

    # ---- afterwards

    def settle(self):
        log("no more kills: everything has to come back")
        self.keep_running()
        self.cloud.wait_ready(60)
        conftest.wait_until(self.has_idle_update, 120, "the last update's end", every=0.5)
        self.agent.wait_telemetry(10, 60)
        self.sender.ended.set()
        self.sender.join(20)
        stored = conftest.wait_until(
            lambda: (lambda s: s if self.sender.acknowledged <= set(s) else None)(self.cloud.sequences("Battery", LOAD)),
            60, "every acknowledged message in the store", every=0.5)
        return stored

    def has_idle_update(self):
        self.keep_running()
        with contextlib.suppress(OSError, AssertionError, KeyError, TypeError, ValueError):
            return not self.updates.wanted or self.updates.is_settled()
        return False

    def verify(self):
        problems = []
        stored = self.settle()
        doubled = [s for s, n in collections.Counter(stored).items() if n > 1]
        if doubled:
            problems.append(f"{len(doubled)} acknowledged messages are stored twice, such as {doubled[:5]}")
        # The car goes on sending; whatever is in the store at one moment has to be complete.
        seen = set()
        for table in (*conftest.TABLES, "Update"):
            sequences = self.cloud.sequences(table, CAR)
            twice = [s for s, n in collections.Counter(sequences).items() if n > 1]
            if twice:
                problems.append(f"{table}: {len(twice)} messages of the car twice, such as {twice[:5]}")
            seen.update(sequences)
        lost = sorted(set(range(1, max(seen) + 1)) - seen)
        if lost:
            problems.append(f"{len(lost)} of the car's {max(seen)} messages are missing: {lost[:20]}")
        version = self.agent.versions()[-1]
        if version not in self.updates.good:
            problems.append(f"the car runs version {version}, which isn't a good one")
        log(f"car: {max(seen)} messages, runs {version}; load: {len(self.sender.acknowledged)} acknowledged, "
            f"{len(stored)} stored, {self.sender.reconnects} reconnects")
        log(f"updates: {self.updates.n} assigned, ended as {dict(self.updates.outcomes)}")
        return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=str(HERE.parent / "build"), help="the build's folder")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="stop killing after this time")
    parser.add_argument("--keep", action="store_true", help="keep the folder with data and logs")
    arguments = parser.parse_args()
    os.environ["DRIVELINE_BUILD"] = arguments.build
    global conftest, mqtt_client
    import conftest
    import mqtt_client

    folder = pathlib.Path(tempfile.mkdtemp(prefix="driveline-torture."))
    minutes = arguments.minutes or 3 + arguments.kills / 50
    log(f"{arguments.kills} kills, seed {arguments.seed}, at most {minutes:g} minutes")
    torture, problems = None, ["it did not get to its end"]
    try:
        torture = Torture(folder, arguments.seed)
        torture.run(arguments.kills, time.monotonic() + minutes * 60)
        problems = torture.verify()
        n_kills = sum(torture.killed.values())
        log(f"killed {dict(torture.killed)}; restarted from outside {dict(torture.restarts)}")
        if n_kills < arguments.kills:
            problems.append(f"only {n_kills} kills in {minutes:g} minutes")
    finally:
        for problem in problems:
            log(f"WRONG: {problem}")
        if torture:
            stop_all(torture, problems)
        if problems or arguments.keep:
            log(f"kept {folder}")
        else:
            shutil.rmtree(folder)
    log(f"{n_kills} kills: nothing acknowledged was lost or doubled" if not problems else "failed")
    return 1 if problems else 0


def stop_all(torture, problems):
    try:
        torture.sender.ended.set()
        torture.cloud.stop()
    except (AssertionError, OSError) as error:
        problems.append(str(error))
        log(f"WRONG: {error}")
    finally:
        for program in (torture.agent and torture.agent.program, torture.cloud.program):
            if program and program.is_running():
                program.kill()


if __name__ == "__main__":
    sys.exit(main())
