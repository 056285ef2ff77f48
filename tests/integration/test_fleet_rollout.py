# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""A rollout over 10 000 simulated devices in five groups, of which two in a hundred fail: it pauses at its error
threshold, is resumed and finishes, while the server is killed ten times. Takes about half a minute."""
import pathlib
import signal
import sqlite3
import subprocess
import threading

import pytest

from conftest import BUILD, SLOW, wait_until
from test_ota import Server

DEVICES = pathlib.Path(BUILD) / "tests/load/load_devices"
COUNT = 10000 if SLOW == 1 else 2000  # a sanitized server has as much to show with fewer
GROUPS = 5
SEED = 7
FINISHED, ERROR = 0, 1  # stored numbers of an action's status


class Fleet:
    """The simulator, and the numbers of acknowledged reports that it prints."""

    def __init__(self, port, result):
        self.result = result
        self.child = subprocess.Popen([DEVICES, str(port), str(COUNT), str(COUNT // GROUPS), str(SEED), str(result)],
                                      stdout=subprocess.PIPE, text=True)
        self.acknowledged = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.acknowledged = int(line.split()[1])

    def has(self, count):
        assert self.child.poll() is None, "the devices ended"
        return self.acknowledged >= count

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        assert self.child.wait(60 * SLOW) == 0

    def runs(self):
        """(device, action) -> (times, is acknowledged, result)"""
        runs = {}
        for line in self.result.read_text().splitlines():
            device, action, times, acknowledged, result = line.split()
            runs[device, int(action)] = int(times), acknowledged == "1", result
        return runs


def given_targets(server):
    for first in range(0, COUNT, 2500):
        server.expect(201, "POST", "/rest/v1/targets",
                      [{"controllerId": f"dev{n:05d}", "name": f"dev{n:05d}"} for n in range(first, min(first + 2500, COUNT))],
                      timeout=60)


def marks(*hundredths):
    return [COUNT * h // 100 for h in hundredths]


def kill(server):
    server.program.kill()
    server.start()


def stored_actions(server):
    """What the killed and restarted server has on disk, read when it has ended."""
    connection = sqlite3.connect(f"file:{server.data}/ota.db?mode=ro", uri=True)
    try:
        return {(device, action): (status, active) for device, action, status, active in connection.execute(
            "SELECT t.controller_id, a.id, a.status, a.active FROM action a JOIN target t ON t.id=a.target")}
    finally:
        connection.close()


@pytest.mark.skipif(not DEVICES.exists(), reason="the simulator isn't built")
def test_ten_kills_lose_no_action_and_run_none_twice(tmp_path):
    server = Server(tmp_path).start()
    server.gateway()
    ds = server.set_with("app", "2", b"content")
    given_targets(server)
    rollout = server.rollout(name="fleet", distributionSetId=ds, amountGroups=GROUPS,
                             successCondition={"condition": "THRESHOLD", "expression": "95"},
                             errorCondition={"condition": "THRESHOLD", "expression": "3"})
    kill(server)  # 1: while the groups are being filled
    server.rollout_is(rollout, "ready", 60)
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    kill(server)  # 2: while the actions are being made
    server.rollout_is(rollout, "running", 60)
    fleet = Fleet(server.port, tmp_path / "runs")
    try:
        for mark in marks(3, 12, 23, 34):  # 3 to 6
            wait_until(lambda mark=mark: fleet.has(mark), 120, f"{mark} reports")
            kill(server)
        paused = server.rollout_is(rollout, "paused", 120)  # the third group is beyond its threshold
        assert paused["totalTargetsPerStatus"]["scheduled"] == 2 * COUNT // GROUPS
        groups = server.expect(200, "GET", f"/rest/v1/rollouts/{rollout}/deploygroups")["content"]
        assert [g["status"] for g in groups][2:] == ["error", "scheduled", "scheduled"]
        kill(server)  # 7
        assert server.rollout_is(rollout, "paused", 60)
        server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/resume")
        for mark in marks(65, 82, 95):  # 8 to 10
            wait_until(lambda mark=mark: fleet.has(mark), 120, f"{mark} reports")
            kill(server)
        server.rollout_is(rollout, "finished", 120)
        wait_until(lambda: fleet.has(COUNT), 120, "the last report")
        counts = server.rollout_is(rollout, "finished")["totalTargetsPerStatus"]
    finally:
        fleet.stop()
        assert server.program.stop(60) == 0
    runs, actions = fleet.runs(), stored_actions(server)
    assert len({device for device, _ in runs}) == len(runs) == COUNT  # each device had one action
    assert {times for times, _, _ in runs.values()} == {1}
    assert all(acknowledged for _, acknowledged, _ in runs.values())
    assert actions == {key: (FINISHED if result == "success" else ERROR, 0)
                       for key, (_, _, result) in runs.items()}
    failed = sum(result == "failure" for _, _, result in runs.values())
    assert failed == COUNT * 2 // 100
    assert (counts["finished"], counts["error"]) == (COUNT - failed, failed)
    assert counts["running"] == counts["scheduled"] == counts["cancelled"] == counts["notstarted"] == 0
