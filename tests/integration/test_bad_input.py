# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""What comes in broken: a clear word where it belongs, and everything goes on."""
import contextlib
import itertools
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import time

import pytest

from conftest import DRIVELINE, ROOT, SLOW, TCU, Program, accepts, copy_for_everybody, http_json, run_verb, thing_context, wait_until
from mqtt_client import Closed, Mqtt

GOOD = {"DeviceID": "BAD-1", "Timestamp": "2026-11-22T19:00:00.000Z", "Sequence": 1, "SoftwareVersion": "1.0.0",
        "Engine": {"Speed": 50.5}}


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)


# ---- messages ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sender(shared_cloud):
    """Publishes as the thing BAD-1."""
    context = thing_context(shared_cloud.create_thing("BAD-1"), "BAD-1")
    return lambda: Mqtt(shared_cloud.mqtt_port, context, "BAD-1")


numbers = itertools.count(1000)


def check_goes_on(cloud, sender):
    """A good message after a bad one arrives in the store."""
    number = next(numbers)
    with sender() as mqtt:
        mqtt.publish("device/BAD-1/telemetry", json.dumps(
            {**GOOD, "Sequence": number, "Timestamp": f"2026-11-22T20:{number // 60:02}:{number % 60:02}.000Z"}))
    wait_until(lambda: number in cloud.sequences("Engine", "BAD-1"), 10, f"message {number} in the store")


def without(key):
    return json.dumps({k: v for k, v in GOOD.items() if k != key})


BAD_MESSAGES = {
    "empty": (b"", "."),
    "no JSON": (b"Speed=50", "."),
    "cut": (json.dumps(GOOD)[:-5].encode(), "."),
    "an array": (b"[1,2,3]", "object"),
    "not UTF-8": (b'{"DeviceID":"BAD-1","X":{"Y":"\xff\xfe"}}', "UTF-8|utf-8"),
    "zero bytes": (b"\0\0\0\0", "."),
    "too deep": (b'{"DeviceID":"BAD-1","A":' + b'{"a":' * 100 + b"1" + b"}" * 101, "deep|nest"),
    "without DeviceID": (without("DeviceID").encode(), "DeviceID is missing"),
    "DeviceID of a wrong type": (json.dumps({**GOOD, "DeviceID": 7}).encode(), "DeviceID"),
    "DeviceID of another": (json.dumps({**GOOD, "DeviceID": "BAD-2"}).encode(), "DeviceID 'BAD-2' on a topic of 'BAD-1'"),
    "time that is none": (json.dumps({**GOOD, "Timestamp": "yesterday"}).encode(), "Timestamp"),
    "sequence of a wrong type": (json.dumps({**GOOD, "Sequence": "first"}).encode(), "Sequence"),
    "name twice": (b'{"DeviceID":"BAD-1","Timestamp":"2026-11-22T19:00:00Z","Engine":{"Speed":1,"speed":2}}', "twice"),
    "number beyond": (b'{"DeviceID":"BAD-1","Timestamp":"2026-11-22T19:00:00Z","Engine":{"Speed":1e999}}', "."),
    "reserved table": (json.dumps({**GOOD, "Sequence": 900, "sqlite_master": {"x": 1}}).encode(), "reserved"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_a_bad_message_becomes_a_dead_letter_with_its_reason(shared_cloud, sender, name):
    message, reason = BAD_MESSAGES[name]
    before = len(shared_cloud.rows("dead_letter"))
    with sender() as mqtt:
        mqtt.publish("device/BAD-1/telemetry", message)  # the broker takes it: it isn't its business
    wait_until(lambda: len(shared_cloud.rows("dead_letter")) > before, 10, "the dead letter")
    letter = shared_cloud.rows("dead_letter", columns="*, id")[-1]
    print(letter["reason"])
    assert letter["topic"] == "device/BAD-1/telemetry"
    assert re.search(reason, letter["reason"]), letter["reason"]
    assert bytes(letter["payload"] or b"") == message[:4096]
    check_goes_on(shared_cloud, sender)


def test_a_column_of_a_wrong_type_is_a_dead_letter(shared_cloud, sender):
    check_goes_on(shared_cloud, sender)
    with sender() as mqtt:
        mqtt.publish("device/BAD-1/telemetry", json.dumps({**GOOD, "Sequence": 101, "Timestamp": "2026-11-22T21:00:00Z",
                                                           "Engine": {"Speed": "fast"}}))
    letters = lambda: [r["reason"] for r in shared_cloud.rows("dead_letter", "reason LIKE '%Speed%'")]
    wait_until(letters, 10, "the dead letter")
    assert "number" in letters()[-1] and "text" in letters()[-1]
    check_goes_on(shared_cloud, sender)


def test_a_message_without_its_time_has_the_time_when_it_came(shared_cloud, sender):
    began = time.time() * 1000
    with sender() as mqtt:
        mqtt.publish("device/BAD-1/telemetry", json.dumps({k: v for k, v in {**GOOD, "Sequence": 110}.items()
                                                           if k != "Timestamp"}))
    row = wait_until(lambda: shared_cloud.rows("Engine", "DeviceID = 'BAD-1' AND Sequence = 110"), 10, "the row")[0]
    assert began - 5 <= row["time"] <= time.time() * 1000 + 5


def test_a_message_of_a_megabyte_is_refused_and_everything_goes_on(shared_cloud, sender):
    with sender() as mqtt, pytest.raises(Closed):
        mqtt.publish("device/BAD-1/telemetry", b"x" * 1_000_000)
    check_goes_on(shared_cloud, sender)


@pytest.mark.parametrize("topic", ["nobody/knows/this", "device/BAD-1/unknown", "device//telemetry", "x" * 2000])
def test_an_unknown_topic_is_refused_and_everything_goes_on(shared_cloud, sender, topic):
    with sender() as mqtt, pytest.raises(Closed):
        mqtt.publish(topic, json.dumps(GOOD))
    check_goes_on(shared_cloud, sender)


# ---- certificates ------------------------------------------------------------------------------------


def sign_by_hand(ca, folder, name, days):
    """A certificate for `name` that the registry knows nothing of; the CA's folder has ca.crt and ca.key."""
    folder.mkdir(parents=True, exist_ok=True)
    key, request = folder / f"{name}.private.key", folder / "request.pem"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-out", request, "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", request, "-CA", ca / "root-CA.crt", "-CAkey", ca / "root-CA.key",
            "-CAcreateserial", "-CAserial", folder / "serial", "-days", days, "-out", folder / f"{name}.cert.pem")
    return folder


@pytest.fixture(scope="module")
def bad_identities(shared_cloud, tmp_path_factory):
    folder = tmp_path_factory.mktemp("identities")
    run_verb(folder / "other", "thing", "create", "BAD-1", "--out", folder / "foreign")
    identities = {
        "of a foreign CA": folder / "foreign",
        "expired": sign_by_hand(shared_cloud.data / "ca", folder / "expired", "BAD-1", -1),
        "not registered": sign_by_hand(shared_cloud.data / "ca", folder / "unknown", "BAD-1", 7),
    }
    for files in identities.values():
        (files / "root-CA.crt").write_bytes((shared_cloud.data / "ca/root-CA.crt").read_bytes())
    return identities


@pytest.mark.parametrize("kind", ["of a foreign CA", "expired", "not registered"])
def test_a_bad_certificate_is_refused_by_the_broker(shared_cloud, sender, bad_identities, kind):
    context = thing_context(bad_identities[kind], "BAD-1")
    with pytest.raises((Closed, ssl.SSLError, OSError)):
        Mqtt(shared_cloud.mqtt_port, context, "BAD-1")
    check_goes_on(shared_cloud, sender)


@pytest.mark.parametrize("kind", ["of a foreign CA", "expired", "not registered"])
def test_a_bad_certificate_is_refused_by_the_update_server(shared_cloud, bad_identities, kind):
    context = thing_context(bad_identities[kind], "BAD-1")
    url = f"https://127.0.0.1:{shared_cloud.https_port}/DEFAULT/controller/v1/BAD-1"
    try:
        status, _ = http_json("GET", url, context=context)
    except OSError:
        return  # the handshake already failed
    assert status == 401


def test_a_certificate_gives_nobody_elses_updates(shared_cloud):
    files = shared_cloud.create_thing("BAD-3")
    shared_cloud.create_thing("BAD-4")
    url = f"https://127.0.0.1:{shared_cloud.https_port}/DEFAULT/controller/v1/"
    assert http_json("GET", url + "BAD-3", context=thing_context(files, "BAD-3"))[0] == 200
    assert http_json("GET", url + "BAD-4", context=thing_context(files, "BAD-3"))[0] in (401, 403)


def test_a_car_with_a_refused_certificate_says_so_and_goes_on_trying(shared_cloud, bad_identities, tmp_path):
    car = Program([TCU, "--dir", tmp_path / "car", "--identity", bad_identities["expired"], "--mqtt",
                   f"127.0.0.1:{shared_cloud.mqtt_port}", "--app", ROOT / "apps/car-python"], tmp_path / "car.log")
    try:
        wait_until(lambda: re.search("broker.*(refused|closed|certificate|lost|ended|alert|expired)", car.text(), re.I), 20,
                   "a word about the broker")
        assert car.is_running()
    finally:
        car.stop()


# ---- rubbish on every port ---------------------------------------------------------------------------


def test_rubbish_on_every_port_ends_nothing(shared_cloud, sender):
    ports = (shared_cloud.mqtt_port, shared_cloud.http_port, shared_cloud.https_port, shared_cloud.viewer_port)
    before = shared_cloud.children()
    for port in ports:
        for rubbish in (b"", b"\0" * 1000, b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + os.urandom(500),
                        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", b"\x10\xff\xff\xff\xff\xff"):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as raw:
                raw.sendall(rubbish)
                raw.settimeout(0.2)
                raw.recv(1000)
    assert all(map(accepts, ports))
    assert shared_cloud.children() == before
    check_goes_on(shared_cloud, sender)


# ---- a cloud that can't start ------------------------------------------------------------------------


def up_fails(cloud, timeout=30, argv=(), program=DRIVELINE, **kinds):
    """Runs `driveline up`, which must end by itself with one line; that line."""
    done = subprocess.run([*argv, program, "up", "--data", cloud.data], capture_output=True, text=True,
                          timeout=timeout * SLOW, check=False, stdin=subprocess.DEVNULL, **kinds)
    assert done.returncode == 1, f"{done.returncode}\n{done.stdout}{done.stderr}"
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("driveline up: "), done.stderr
    print(lines[0])
    return lines[0]


@pytest.mark.parametrize("key", ["mqtt_listen", "http_listen", "https_listen", "viewer_listen"])
def test_a_taken_port_is_one_line_that_names_the_setting(make_cloud, key):
    cloud = make_cloud()
    with socket.create_server(("127.0.0.1", int(cloud.config[key].rsplit(":")[-1]))):
        line = up_fails(cloud)
    assert cloud.config[key] in line and key in line and "driveline.conf" in line


def test_a_second_cloud_in_the_same_folder_is_refused(shared_cloud, tmp_path):
    line = up_fails(shared_cloud)
    assert "already running" in line and str(shared_cloud.data) in line
    assert all(map(accepts, (shared_cloud.mqtt_port, shared_cloud.viewer_port)))


@pytest.mark.parametrize("text, number, word", [
    ("mqtt_listen = 127.0.0.1:1883\n\nmqtt_lisen = x\n", 3, "mqtt_lisen"),
    ("# a comment\npoll_interval = often\n", 2, "poll_interval"),
    ("store_max_age\n", 1, "key = value"),
    ("viewer_listen = 8088\n", 1, "127.0.0.1:8080"),
    ("build_processes = 0\n", 1, "build_processes"),
    ("stream_max_size = 2 GB\n", 1, "2 GB"),
])
def test_a_broken_configuration_names_file_and_line(make_cloud, text, number, word):
    cloud = make_cloud()
    (cloud.data / "driveline.conf").write_text(text)
    line = up_fails(cloud)
    assert f"{cloud.data}/driveline.conf:{number}: " in line and word in line
    done = cloud.verb("config", check=False)
    assert done.returncode == 1 and f"driveline.conf:{number}: " in done.stderr


def test_a_data_folder_that_is_not_writable_is_one_line(make_cloud):
    cloud = make_cloud()
    cloud.data = cloud.data / "driveline.conf" / "data"  # below a file there is no folder, not even for root
    line = up_fails(cloud)
    assert str(cloud.data) in line and "Not a directory" in line


def as_nobody():
    os.setgid(65534)
    os.setuid(65534)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_a_data_folder_of_somebody_else_is_one_line(make_cloud):
    cloud = make_cloud()
    cloud.data.chmod(0o755)
    for parent in cloud.data.parents:
        if parent.stat().st_mode & 0o011 != 0o011 and parent != pathlib.Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)  # pytest's own temporary folders
    line = up_fails(cloud, program=copy_for_everybody(DRIVELINE, cloud.folder), preexec_fn=as_nobody, cwd="/")
    assert str(cloud.data) in line and "Permission denied" in line


def mount_tmpfs(folder, size):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "driveline-test", folder], capture_output=True,
                          check=False, timeout=20).returncode == 0


@pytest.fixture
def small_disk(make_cloud):
    """A cloud whose data folder is a small file system of its own."""
    mounted = []

    def make(size):
        cloud = make_cloud()
        conf = (cloud.data / "driveline.conf").read_bytes()
        if os.getuid() != 0 or not mount_tmpfs(cloud.data, size):
            pytest.skip("a full disk needs a mount, which needs root")
        mounted.append(cloud)
        (cloud.data / "driveline.conf").write_bytes(conf)
        return cloud
    yield make
    for cloud in mounted:
        if cloud.program and cloud.program.is_running():
            cloud.program.stop()
        subprocess.run(["umount", cloud.data], check=True, timeout=20)


def test_a_disk_without_room_is_one_line_that_says_what_to_do(small_disk):
    cloud = small_disk("32m")
    line = up_fails(cloud)
    assert str(cloud.data) in line and "MiB" in line and "free" in line


def test_a_disk_that_fills_up_loses_nothing_that_was_acknowledged(small_disk):
    """What can't be stored isn't acknowledged; with room again it goes on by itself."""
    cloud = small_disk("160m")
    files = cloud.create_thing("FULL-1")
    cloud.start()
    context, acknowledged = thing_context(files, "FULL-1"), []

    def message(number):
        return json.dumps({"DeviceID": "FULL-1", "Timestamp": f"2026-11-22T{number // 3600:02}:{number // 60 % 60:02}:"
                           f"{number % 60:02}.000Z", "Sequence": number, "Engine": {"Speed": number, "Note": "x" * 2000}})

    def send(numbers):
        with Mqtt(cloud.mqtt_port, context, "FULL-1", timeout=5) as mqtt:
            for number in numbers:
                mqtt.publish("device/FULL-1/telemetry", message(number))
                acknowledged.append(number)
    send(range(1, 51))
    ballast = cloud.data / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as out:
        while True:
            out.write(b"\0" * 65536)
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as out:
        while True:
            out.write(b"\0")
    with pytest.raises((Closed, TimeoutError)):
        send(range(1000, 5000))
    wait_until(lambda: re.search("No space left|[Dd]isk full|disk is full", "".join(cloud.logs().values())), 20,
               "the log to say that the disk is full")
    ballast.unlink()

    def works_again():
        with contextlib.suppress(OSError, Closed, TimeoutError):
            number = acknowledged[-1] + 1
            send([number])
            return True
    wait_until(works_again, 30, "the broker to take messages again", every=0.2)
    wait_until(lambda: set(acknowledged) <= set(cloud.sequences("Engine", "FULL-1")), 30,
               "all acknowledged messages in the store", every=0.2)
    stored = cloud.sequences("Engine", "FULL-1")
    assert len(stored) == len(set(stored))


# ---- verbs with bad arguments ------------------------------------------------------------------------


VERBS = ("up", "serve", "demo", "thing", "policy", "rule", "stream", "query", "pipeline", "rollout", "target", "action",
         "logs", "why", "config", "version")
MISUSE = [["unknown-verb"], ["--unknown"], ["thing"], ["thing", "unknown"], ["thing", "create"], ["thing", "show"],
          ["thing", "delete"], ["thing", "create", "x", "--days", "soon"], ["policy"], ["policy", "test"], ["serve"],
          ["serve", "nothing"], ["pipeline"], ["pipeline", "show"], ["pipeline", "create"], ["logs", "--lines", "-5"],
          ["logs", "--lines", "many"], ["query", "--last", "long"], ["query", "--output", "xml", "SELECT 1"], ["rule"],
          ["stream"], ["rollout"], ["action"], ["why"], ["demo", "--time-scale", "0"]] + \
    [[verb, "--no-such-option"] for verb in VERBS]


@pytest.mark.parametrize("words", MISUSE, ids=" ".join)
def test_misuse_ends_with_status_2_and_says_what_was_wrong(tmp_path, words):
    done = subprocess.run([DRIVELINE, "--data", tmp_path / "data", *words], capture_output=True, text=True,
                          timeout=30 * SLOW, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2, f"{done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stderr and not done.stdout
    assert not (tmp_path / "data").exists()  # misuse leaves nothing behind


FAILURES = [["thing", "show", "nobody"], ["policy", "show", "none"], ["pipeline", "show", "99"],
            ["query", "SELECT * FROM nowhere"], ["query", "DROP TABLE Engine"], ["rollout", "show", "99"],
            ["why", "99"], ["logs"], ["rule", "delete", "none"]]


@pytest.mark.parametrize("words", FAILURES, ids=" ".join)
def test_a_verb_that_fails_ends_with_status_1_and_one_line(tmp_path, words):
    done = subprocess.run([DRIVELINE, "--data", tmp_path / "data", *words], capture_output=True, text=True,
                          timeout=30 * SLOW, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1, f"{done.returncode}\n{done.stdout}{done.stderr}"
    assert len(done.stderr.strip().splitlines()) == 1 and done.stderr.startswith("driveline"), done.stderr


TCU_MISUSE = [[], ["--no-such-option"], ["--dir"], ["--dir", "x", "--time-scale", "fast"], ["status"],
              ["--dir", "x", "--log-level", "loud"]]


@pytest.mark.parametrize("words", TCU_MISUSE, ids=lambda words: " ".join(words) or "nothing")
def test_misuse_of_the_agent_ends_with_status_2(tmp_path, words):
    done = subprocess.run([TCU, *words], capture_output=True, text=True, timeout=30 * SLOW, check=False, cwd=tmp_path,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and done.stderr and not done.stdout, done
    assert not list(tmp_path.iterdir())
