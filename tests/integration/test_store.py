# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""From a publish to a query: broker, stream, rules and store as real programs, with things that misbehave
and a store that is killed."""
import csv
import io
import json
import pathlib
import random
import resource
import shutil
import subprocess
import time

import pytest

from conftest import DRIVELINE, Program, free_port, pause, run_verb, thing_context, wait_until
from mqtt_client import Closed, Mqtt

START = 1795374000  # 2026-11-22T19:00:00Z


class Cloud:
    """Only the broker and the store."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "cloud"
        self.data.mkdir(parents=True)
        self.port = free_port()
        (self.data / "driveline.conf").write_text(f"mqtt_listen = 127.0.0.1:{self.port}\n")
        self.broker = self.store = None
        self.starts = 0
        self.start()

    def start(self):
        self.starts += 1
        self.broker = Program([DRIVELINE, "serve", "broker", "--data", self.data],
                              self.folder / f"broker-{self.starts}.log")
        self.broker.wait_for_text(" running")
        self.start_store()
        self.store.wait_for_text("ready")

    def start_store(self):
        self.starts += 1
        self.store = Program([DRIVELINE, "serve", "store", "--data", self.data],
                             self.folder / f"store-{self.starts}.log")

    def stop(self):
        ends = [self.store.stop(), self.broker.stop()]
        assert ends == [0, 0], self.logs()

    def logs(self):
        return "".join(f"---- {p.name}\n{p.read_text(errors='replace')}" for p in sorted(self.folder.glob("*.log")))

    def verb(self, *words, **kinds):
        return run_verb(self.data, *words, **kinds).stdout

    def connect(self, name):
        files = self.folder / name
        if not files.exists():
            self.verb("thing", "create", name, "--out", files)
        return Mqtt(self.port, thing_context(files, name), name)

    def query(self, *words):
        """Rows as dicts; none while the store or the table isn't there."""
        done = subprocess.run([DRIVELINE, "--data", self.data, "query", "--output", "json", "--limit", "0", *words],
                              capture_output=True, text=True, timeout=60)
        if done.returncode:
            assert done.returncode == 1, done
            assert "no such table" in done.stderr or "nothing has been stored" in done.stderr, done.stderr
            return []
        return json.loads(done.stdout)

    def wait_rows(self, n, sql, timeout=10):
        return wait_until(lambda: (lambda rows: rows if len(rows) >= n else None)(self.query(sql)), timeout,
                          f"{n} rows of {sql}", every=0.05)


@pytest.fixture
def cloud(tmp_path):
    c = Cloud(tmp_path)
    try:
        yield c
    except BaseException:
        print(c.logs())
        raise
    c.stop()


def message(name, sequence, **members):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START + sequence)) + ".000Z"
    return json.dumps({"DeviceID": name, "Timestamp": stamp, "Sequence": sequence, "SoftwareVersion": "1.0.0",
                       **(members or {"Engine": {"Speed": sequence / 2, "On": True}})}, separators=(",", ":"))


def test_published_message_can_be_queried_in_each_format(cloud):
    with cloud.connect("VIN1") as car:
        for i in range(1, 6):
            car.publish("device/VIN1/telemetry", message("VIN1", i, Engine={"Speed": i / 2, "Note": "a,\"b\""},
                                                         ABS={"Wheel1": {"Speed": i}}))
    rows = cloud.wait_rows(5, "SELECT * FROM Engine ORDER BY time")
    assert rows[0] == {"DeviceID": "VIN1", "time": (START + 1) * 1000, "Sequence": 1, "SoftwareVersion": "1.0.0",
                       "Speed": 0.5, "Note": "a,\"b\""}
    assert [r["Wheel1.Speed"] for r in cloud.query("SELECT * FROM ABS ORDER BY time")] == [1, 2, 3, 4, 5]
    shown = cloud.verb("query", "--table", "Engine", "--device", "VIN1", "--limit", "2").splitlines()
    assert len(shown) == 3 and shown[0].split()[:2] == ["DeviceID", "time"]
    assert "2026-11-22T19:00:04.000Z" in shown[1] and "2026-11-22T19:00:05.000Z" in shown[2]
    table = list(csv.DictReader(io.StringIO(cloud.verb("query", "--output", "csv", "SELECT * FROM Engine"))))
    assert table[4]["Speed"] == "2.5" and table[0]["Note"] == "a,\"b\""
    read = [json.loads(line) for line in cloud.verb("stream", "read", "--output", "json").splitlines()]
    assert [r["offset"] for r in read] == [1, 2, 3, 4, 5]
    assert json.loads(read[4]["payload"])["Sequence"] == 5
    assert "next_offset" in cloud.verb("stream", "stat")


def test_bad_messages_become_dead_letters_and_the_good_ones_behind_them_rows(cloud):
    bad = ["", "rubbish", "{\"DeviceID\":\"VIN1\"", "{\"Engine\":{\"Speed\":1}}", "[]", "\x00",
           message("VIN2", 1), message("VIN1", 2, Engine={"Speed": "fast"}), message("VIN1", 3, _x={"a": 1}),
           "{\"DeviceID\":\"VIN1\",\"E\":" + "[" * 100]
    with cloud.connect("VIN1") as car:
        car.publish("device/VIN1/telemetry", message("VIN1", 1))
        for payload in bad:
            car.publish("device/VIN1/telemetry", payload)
        car.publish("device/VIN1/telemetry", message("VIN1", 4))
    assert [r["Sequence"] for r in cloud.wait_rows(2, "SELECT Sequence FROM Engine ORDER BY time")] == [1, 4]
    letters = cloud.query("SELECT reason, topic, CAST(payload AS TEXT) AS payload FROM dead_letter ORDER BY id")
    assert len(letters) == len(bad)
    assert all(l["reason"] and l["topic"] == "device/VIN1/telemetry" for l in letters)
    assert "DeviceID 'VIN2' on a topic of 'VIN1'" in letters[6]["reason"]
    assert "column 'Engine.Speed' holds number, not text" in letters[7]["reason"]
    assert letters[1]["payload"] == "rubbish"


def test_megabyte_message_harms_no_one_else(cloud):
    with cloud.connect("VIN1") as good, cloud.connect("VIN2") as big:
        with pytest.raises((Closed, OSError)):
            big.publish("device/VIN2/telemetry", message("VIN2", 1, Engine={"Note": "x" * 1_000_000}))
        good.publish("device/VIN1/telemetry", message("VIN1", 1))
        cloud.wait_rows(1, "SELECT * FROM Engine WHERE DeviceID = 'VIN1'")
    assert cloud.query("SELECT * FROM devices WHERE DeviceID = 'VIN2'") == []


def test_killed_store_loses_and_doubles_nothing(cloud):
    chance = random.Random(4)
    kills, n = 25, 5000
    moments = sorted(chance.sample(range(100, n), kills))
    with cloud.connect("VIN1") as car:
        for i in range(1, n + 1):
            car.publish("device/VIN1/telemetry", message("VIN1", i))
            if moments and i >= moments[0]:
                moments.pop(0)
                pause(chance.random() * 0.06)
                cloud.store.kill()
                cloud.start_store()
        car.publish("device/VIN1/telemetry", message("VIN1", n))  # once more what was acknowledged
    wait_until(lambda: cloud.query("SELECT 1 FROM devices WHERE duplicates > 0"), 20, "the last message")
    gap = cloud.query("--gap", "VIN1")[0]
    assert {k: gap[k] for k in ("messages", "first_sequence", "last_sequence", "lost", "stored_twice", "restarts",
                                "max_gap_s")} == {
        "messages": n, "first_sequence": 1, "last_sequence": n, "lost": 0, "stored_twice": 0, "restarts": 0,
        "max_gap_s": 1}
    assert cloud.query("SELECT count(*) AS n FROM Engine") == [{"n": n}]


def test_rule_counts_from_the_next_message_on(cloud):
    with cloud.connect("VIN1") as car:
        car.publish("device/VIN1/telemetry", message("VIN1", 1))
        cloud.wait_rows(1, "SELECT * FROM Engine")
        cloud.verb("rule", "delete", "telemetry")
        cloud.verb("rule", "create", "fast", "SELECT Engine.Speed AS Motor.v FROM 'device/+/telemetry' WHERE Engine.Speed > 5")
        wait_until(lambda: cloud.store.text().count("rules are in force") >= 2, what="the new rules")
        for i in (2, 8, 20):
            car.publish("device/VIN1/telemetry", message("VIN1", i))
        assert [r["v"] for r in cloud.wait_rows(1, "SELECT * FROM Motor")] == [10]
    assert len(cloud.query("SELECT * FROM Engine")) == 1
    refused = subprocess.run([DRIVELINE, "--data", cloud.data, "rule", "create", "bad", "SELECT * FORM 'x'"],
                             capture_output=True, text=True)
    assert refused.returncode == 1 and "FROM is expected at character 10" in refused.stderr


def test_store_that_cannot_write_goes_on_when_it_can(cloud):
    with cloud.connect("VIN1") as car:
        car.publish("device/VIN1/telemetry", message("VIN1", 1))
        cloud.wait_rows(1, "SELECT * FROM Engine")
        # What a full disk does to writes, done to this process alone.
        resource.prlimit(cloud.store.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        for i in range(2, 200):
            car.publish("device/VIN1/telemetry", message("VIN1", i))
        cloud.store.wait_for_text("trying again in")
        assert cloud.query("SELECT count(*) AS n FROM Engine") == [{"n": 1}]
        resource.prlimit(cloud.store.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(lambda: cloud.query("SELECT count(*) AS n FROM Engine") == [{"n": 199}], 30, "all messages")
    gap = cloud.query("--gap", "VIN1")[0]
    assert (gap["lost"], gap["stored_twice"]) == (0, 0)
    assert cloud.store.is_running()


def test_stream_that_was_removed_begins_anew(cloud):
    for first in (1, 6):
        with cloud.connect("VIN1") as car:
            for i in range(first, first + 5):
                car.publish("device/VIN1/telemetry", message("VIN1", i))
        cloud.wait_rows(first + 4, "SELECT * FROM Engine")
        cloud.stop()
        if first == 1:
            shutil.rmtree(cloud.data / "stream")
        cloud.start()
    assert "going on by time" in cloud.logs()
    assert [r["Sequence"] for r in cloud.query("SELECT Sequence FROM Engine ORDER BY time")] == list(range(1, 11))


def test_second_store_is_refused_with_one_line(cloud):
    second = Program([DRIVELINE, "serve", "store", "--data", cloud.data], cloud.folder / "second.log")
    assert second.wait() == 1
    assert second.text().count("\n") == 1 and "is being written by another process" in second.text()
    (cloud.folder / "second.log").unlink()
