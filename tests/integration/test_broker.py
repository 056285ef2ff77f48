# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The broker as strangers meet it: Mosquitto with the plugin, Debian's mosquitto_pub and mosquitto_sub with
a thing's files, and raw packets where it matters what exactly was acknowledged."""
import concurrent.futures
import json
import pathlib
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from conftest import DRIVELINE, SLOW, Program, free_port, run_verb, thing_context, wait_until
from mqtt_client import Closed, Mqtt, packet, text

ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}


class Broker:
    """Only the broker of a cloud, so that its own behaviour is seen."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "cloud"
        self.data.mkdir(parents=True)
        self.port = free_port()
        (self.data / "driveline.conf").write_text(f"mqtt_listen = 127.0.0.1:{self.port}\n")
        self.program = None
        self.starts = 0

    def start(self, **kinds):
        self.starts += 1
        self.program = Program([DRIVELINE, "serve", "broker", "--data", self.data],
                               self.folder / f"broker-{self.starts}.log", **kinds)
        self.program.wait_for_text(" running")
        return self

    def verb(self, *words, **kinds):
        return run_verb(self.data, *words, **kinds)

    def thing(self, name):
        self.verb("thing", "create", name, "--out", self.folder / name)
        return self.folder / name

    def connect(self, name, files=None, client_id=None, **kinds):
        context = thing_context(files or self.folder / name, name)
        return Mqtt(self.port, context, name if client_id is None else client_id, **kinds)

    def client(self, program, name, *options, files=None, client_id=None, timeout=20):
        files = files or self.folder / name
        return subprocess.run(
            [program, "-h", "localhost", "-p", str(self.port), "--cafile", files / "root-CA.crt",
             "--cert", files / f"{name}.cert.pem", "--key", files / f"{name}.private.key",
             "-i", client_id or name, *options],
            capture_output=True, text=True, timeout=timeout * SLOW, check=False)

    def stream(self):
        """All bytes of the stream as another process sees them now."""
        return b"".join(p.read_bytes() for p in sorted((self.data / "stream/telemetry").glob("*.log")))

    def log(self):
        return self.program.text()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    one = Broker(tmp_path_factory.mktemp("broker")).start()
    for name in ("car-1", "car-2"):
        one.thing(name)
    yield one
    assert one.program.stop() == 0


@pytest.fixture
def own_broker(tmp_path):
    one = Broker(tmp_path)
    yield one
    if one.program and one.program.is_running():
        one.program.kill()


def refused(broker, *arguments, **kinds):
    """The connection ends before it counts for anything."""
    with pytest.raises((Closed, ssl.SSLError, OSError)):
        broker.connect(*arguments, **kinds).close()
    return True


# ---- identity ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_debians_clients_publish_with_a_things_files(broker, version):
    message = f'{{"by":"{version}"}}'
    done = broker.client("mosquitto_pub", "car-1", "-V", version, "-q", "1", "-t", "device/car-1/telemetry",
                         "-m", message)
    assert done.returncode == 0, done.stderr
    assert message.encode() in broker.stream()


def test_debians_client_receives_what_the_cloud_says(broker):
    cloud = broker.data / "ca"
    with subprocess.Popen(
            ["mosquitto_sub", "-h", "localhost", "-p", str(broker.port), "--cafile", cloud / "root-CA.crt",
             "--cert", broker.folder / "car-1/car-1.cert.pem", "--key", broker.folder / "car-1/car-1.private.key",
             "-i", "car-1", "-q", "1", "-t", "device/car-1/poll", "-C", "1", "-W", str(int(20 * SLOW))],
            stdout=subprocess.PIPE, text=True) as child:
        context = ssl.create_default_context(cafile=cloud / "root-CA.crt")
        context.load_cert_chain(cloud / "driveline-cloud.crt", cloud / "driveline-cloud.key")
        with Mqtt(broker.port, context, "driveline-cloud") as mqtt:
            def heard():  # it doesn't tell when its subscription stands
                mqtt.publish("device/car-1/poll", "now")
                return child.poll() is not None
            wait_until(heard, 20, "mosquitto_sub to receive", every=0.1)
        assert child.stdout.read() == "now\n"
        assert child.wait() == 0


def test_a_foreign_client_id_is_refused(broker):
    assert broker.client("mosquitto_pub", "car-1", "-q", "1", "-t", "device/car-2/telemetry", "-m", "x",
                         client_id="car-2").returncode != 0
    assert refused(broker, "car-1", client_id="")
    assert "is not the certificate's name 'car-1'" in broker.log()


def test_a_client_without_certificate_is_refused(broker):
    context = ssl.create_default_context(cafile=broker.data / "ca/root-CA.crt")
    with pytest.raises((Closed, ssl.SSLError, OSError)):
        Mqtt(broker.port, context, "car-1", username="car-1")
    with pytest.raises((Closed, TimeoutError)):
        Mqtt(broker.port, None, "car-1", timeout=3)


def test_a_certificate_of_a_foreign_ca_is_refused(broker, tmp_path):
    run_verb(tmp_path / "other", "thing", "create", "car-1", "--out", tmp_path / "car-1")
    context = ssl.create_default_context(cafile=broker.data / "ca/root-CA.crt")
    context.load_cert_chain(tmp_path / "car-1/car-1.cert.pem", tmp_path / "car-1/car-1.private.key")
    with pytest.raises((Closed, ssl.SSLError, OSError)):
        Mqtt(broker.port, context, "car-1")


def test_another_way_to_authenticate_is_no_way_round(broker):
    """MQTT 5's own exchange of credentials, for which nobody here answers."""
    raw = socket.create_connection(("127.0.0.1", broker.port), 10)
    with thing_context(broker.folder / "car-1", "car-1").wrap_socket(raw, server_hostname="localhost") as tls:
        properties = b"\x15" + text("trust-me")
        body = text("MQTT") + bytes([5, 0x02]) + struct.pack("!H", 60) + bytes([len(properties)]) + properties
        tls.sendall(packet(0x10, body + text("car-2")))
        answer = tls.recv(100)
    assert not answer or answer[3] >= 0x80, answer


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def sign_by_hand(broker, folder, name, days):
    """A certificate of our own CA that the registry knows nothing of."""
    folder.mkdir(exist_ok=True)
    key, request = folder / f"{name}.private.key", folder / "request.pem"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-out", request, "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", request, "-CA", broker.data / "ca/root-CA.crt", "-CAkey",
            broker.data / "ca/root-CA.key", "-CAcreateserial", "-CAserial", folder / "serial", "-days", days,
            "-out", folder / f"{name}.cert.pem")
    (folder / "root-CA.crt").write_bytes((broker.data / "ca/root-CA.crt").read_bytes())
    return folder


def test_an_expired_certificate_is_refused(broker, tmp_path):
    files = sign_by_hand(broker, tmp_path / "expired", "car-1", -1)
    assert refused(broker, "car-1", files=files)
    wait_until(lambda: re.search("expired|certificate verify failed", broker.log()), 10, "a word in the log")


def test_a_certificate_that_is_not_registered_is_refused(broker, tmp_path):
    files = sign_by_hand(broker, tmp_path / "unknown", "car-1", 7)
    assert refused(broker, "car-1", files=files)
    assert "is not registered" in broker.log()


# ---- policies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["device/car-2/telemetry", "device/car-1/poll", "device/car-1/telemetry/more",
                                   "unknown", "device/car-1/Telemetry", "$CONTROL/dynamic-security/v1"])
def test_a_foreign_topic_is_refused_and_hurts_nobody_else(broker, topic):
    before = len(broker.stream())
    with broker.connect("car-2") as other:
        with broker.connect("car-1") as mqtt, pytest.raises(Closed):
            mqtt.publish(topic, "stray message")  # MQTT 3.1.1 can only end the connection
        done = broker.client("mosquitto_pub", "car-1", "-V", "mqttv5", "-q", "1", "-t", topic, "-m", "stray message",
                             "-d")
        assert "RC:135" in done.stdout, done  # not authorized
        other.publish("device/car-2/telemetry", f"after {topic}")
    assert b"stray message" not in broker.stream()[before:]
    assert f"refused iot:Publish of 'car-1' on '{topic}'" in broker.log()


def test_the_brokers_own_topics_are_nobodys(broker, tmp_path):
    broker.thing("curious")
    (tmp_path / "all.json").write_text(json.dumps(ALLOW_ALL))
    broker.verb("policy", "create", "curious", tmp_path / "all.json")
    broker.verb("policy", "attach", "curious", "curious")
    with broker.connect("curious") as mqtt:
        assert mqtt.subscribe("#") == 1
        assert mqtt.subscribe("$SYS/#") == 0x80
        assert mqtt.subscribe("$share/g/$SYS/#") == 0x80
        mqtt.send_publish("$SYS/broker/uptime", "mine", qos=0)
        mqtt.publish("device/curious/telemetry", "last")
        assert mqtt.receive() == ("device/curious/telemetry", b"last")


@pytest.mark.parametrize("topic", ["#", "device/+/poll", "device/car-2/poll", "$SYS/#", "$share/g/device/car-1/poll"])
def test_a_foreign_subscription_is_refused(broker, topic):
    with broker.connect("car-1") as mqtt:
        assert mqtt.subscribe(topic) == 0x80
        assert mqtt.subscribe("device/car-1/poll") == 1


def test_receiving_needs_a_policy_of_its_own(broker, tmp_path):
    broker.thing("listener")
    deny = {"Version": "2012-10-17", "Statement": [
        ALLOW_ALL["Statement"][0],
        {"Sid": "Private", "Effect": "Deny", "Action": "iot:Receive", "Resource": "topic/device/*/telemetry"}]}
    (tmp_path / "deny.json").write_text(json.dumps(deny))
    broker.verb("policy", "create", "listen", tmp_path / "deny.json")
    broker.verb("policy", "attach", "listen", "listener")
    with broker.connect("listener") as listener, broker.connect("car-1") as car:
        assert listener.subscribe("device/#") == 1
        car.publish("device/car-1/telemetry", "private")
        car.publish("device/car-1/update", "public")
        assert listener.receive() == ("device/car-1/update", b"public")


def test_a_change_of_policy_counts_for_the_session_there_is(broker, tmp_path):
    broker.thing("roamer")
    (tmp_path / "all.json").write_text(json.dumps(ALLOW_ALL))
    broker.verb("policy", "create", "all", tmp_path / "all.json")
    with broker.connect("roamer") as mqtt:
        assert mqtt.subscribe("a/b") == 0x80
        broker.verb("policy", "attach", "all", "roamer")
        wait_until(lambda: mqtt.subscribe("a/b") == 1, 5, "the policy to be in force")
        broker.verb("policy", "detach", "all", "roamer")
        wait_until(lambda: mqtt.subscribe("a/c") == 0x80, 5, "the policy to be out of force")


def test_the_simulator_and_the_broker_agree(broker):
    for topic, allowed in (("device/car-1/telemetry", True), ("device/car-2/telemetry", False)):
        done = broker.verb("policy", "test", "--thing", "car-1", "--action", "iot:Publish", "--resource", topic,
                           check=False)
        assert (done.returncode == 0) == allowed, done.stdout
        assert done.stdout.startswith("allowed" if allowed else "denied")


def connect_with_will(broker, name, topic, payload):
    """A connection whose last will is a message on `topic`; as raw TLS, to be cut off."""
    raw = socket.create_connection(("127.0.0.1", broker.port), 10)
    tls = thing_context(broker.folder / name, name).wrap_socket(raw, server_hostname="localhost")
    body = text("MQTT") + bytes([4, 0x02 | 0x04 | 0x08]) + struct.pack("!H", 60)
    tls.sendall(packet(0x10, body + text(name) + text(topic) + text(payload)))
    assert tls.recv(4) == b"\x20\x02\x00\x00"
    return tls


def test_a_will_goes_through_the_policies(broker):
    with broker.connect("car-2") as other:
        assert other.subscribe("device/car-2/poll") == 1
        connect_with_will(broker, "car-1", "device/car-2/poll", "a will").close()
        wait_until(lambda: "refused iot:Publish of 'car-1' on 'device/car-2/poll'" in broker.log(), 10,
                   "the will to be refused")
        other.ping()
        assert not other.messages


def test_a_retained_message_is_refused(broker):
    with broker.connect("car-1") as mqtt:
        mqtt._send(packet(0x33, text("device/car-1/telemetry") + struct.pack("!H", 1) + b"kept for ever"))
        with pytest.raises(Closed):
            mqtt.wait_acknowledged(1)
    assert b"kept for ever" not in broker.stream()


# ---- a certificate's life ----------------------------------------------------------------------------


def ended_after(mqtt, action):
    """Seconds from the start of `action` to the end of the session."""
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = pool.submit(action)
        with pytest.raises(Closed):
            mqtt.receive()
        taken = time.monotonic() - began
        done.result()
    return taken


@pytest.mark.parametrize("words", [["deactivate"], ["delete", "--force"], ["renew", "--revoke"]])
def test_a_session_ends_within_a_second_of_its_certificate(broker, words):
    name = f"short-lived-{words[0]}"
    broker.thing(name)
    mqtt = broker.connect(name)
    with broker.connect("car-2") as other:
        out = ["--out", broker.folder / f"{name}-new"] if words[0] == "renew" else []
        taken = ended_after(mqtt, lambda: broker.verb("thing", words[0], name, *words[1:], *out))
        print(f"session ended {taken * 1000:.0f} ms after 'thing {words[0]}' was called")
        assert taken < 1.0 * SLOW
        other.ping()
    assert refused(broker, name)
    assert f"ended the session of '{name}'" in broker.log()


def test_an_activated_thing_is_let_in_again_and_a_renewed_one_too(broker):
    broker.thing("again")
    broker.verb("thing", "deactivate", "again")
    assert refused(broker, "again")
    broker.verb("thing", "activate", "again")
    with broker.connect("again") as mqtt:
        broker.verb("thing", "renew", "again", "--out", broker.folder / "again-new")
        wait_until(lambda: broker.log().rstrip().endswith("certificates"), 5, "the new rules")
        mqtt.publish("device/again/telemetry", "with the old certificate")
    with broker.connect("again", files=broker.folder / "again-new") as mqtt:
        mqtt.publish("device/again/telemetry", "with the new certificate")


# ---- the stream --------------------------------------------------------------------------------------


def test_a_message_is_in_the_stream_before_it_is_acknowledged(broker):
    with broker.connect("car-1") as mqtt:
        for i in range(200):
            mqtt.publish("device/car-1/telemetry", f"<sequence {i}>")
            assert f"<sequence {i}>".encode() in broker.stream()


def test_acknowledged_messages_survive_kill_9(own_broker):
    own_broker.start()
    own_broker.thing("car-1")
    sent = 0
    for _ in range(5):
        acknowledged = []
        mqtt = own_broker.connect("car-1")
        for _ in range(400):
            mqtt.send_publish("device/car-1/telemetry", f"<sequence {sent}>")
            acknowledged.append(sent)
            sent += 1
        for identifier in range(1, 200):
            mqtt.wait_acknowledged(identifier)
        own_broker.program.kill()
        mqtt.close()
        stream = own_broker.stream()
        missing = [i for i in acknowledged[:199] if f"<sequence {i}>".encode() not in stream]
        assert not missing
        own_broker.start()


def test_a_message_of_one_megabyte_is_refused(broker):
    before = len(broker.stream())
    with broker.connect("car-2") as other:
        with broker.connect("car-1") as mqtt, pytest.raises(Closed):
            mqtt.publish("device/car-1/telemetry", b"x" * 1_000_000)
        other.publish("device/car-2/telemetry", "still here")
    assert "oversize packet" in broker.log()
    assert len(broker.stream()) - before < 1000
    with broker.connect("car-1") as mqtt:
        mqtt.publish("device/car-1/telemetry", b"x" * 256 * 1024)


def test_what_cannot_be_stored_is_not_acknowledged(own_broker):
    def small_files():
        # A file that may not grow stands for a full disk; ignoring the signal makes write() fail instead.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    own_broker.thing("car-1")
    own_broker.starts += 1
    log = own_broker.folder / "full.log"
    with log.open("wb") as out:
        child = subprocess.Popen([DRIVELINE, "serve", "broker", "--data", own_broker.data], stderr=out, stdout=out,
                                 preexec_fn=small_files, restore_signals=False)
    try:
        wait_until(lambda: " running" in log.read_text(), 10, "the broker")
        acknowledged = 0
        with pytest.raises(Closed):
            with own_broker.connect("car-1") as mqtt:
                for i in range(100):
                    mqtt.publish("device/car-1/telemetry", f"<sequence {i}>" + "x" * 5000)
                    acknowledged += 1
        assert 10 < acknowledged < 30
        for _ in range(5):  # it stays so, and is said once
            with pytest.raises(Closed), own_broker.connect("car-1") as mqtt:
                mqtt.publish("device/car-1/telemetry", "x" * 5000)
        stream = own_broker.stream()
        assert all(f"<sequence {i}>".encode() in stream for i in range(acknowledged))
        assert log.read_text().count("can't be stored") == 1
    finally:
        child.kill()
        child.wait()


def test_broken_rules_leave_the_old_ones_in_force(own_broker):
    own_broker.start()
    own_broker.thing("car-1")
    with own_broker.connect("car-1") as mqtt:
        (own_broker.data / "broker/access.json").write_text("{")
        wait_until(lambda: "the rules of before stay in force" in own_broker.log(), 5)
        mqtt.publish("device/car-1/telemetry", "x")
        assert own_broker.log().count("the rules of before") == 1
    own_broker.verb("thing", "create", "car-2", "--out", own_broker.folder / "car-2")
    own_broker.connect("car-2").close()
    assert own_broker.program.stop() == 0


def test_rubbish_instead_of_mqtt_hurts_nobody(broker):
    for rubbish in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100):
        with socket.create_connection(("127.0.0.1", broker.port), 5) as raw:
            raw.sendall(rubbish)
    tls = thing_context(broker.folder / "car-1", "car-1")
    for rubbish in (b"\x10\xff\xff\xff\xff\xff", b"\x30\x02\x00\x00", b"\x10\x00", b"\x82" + b"\xff" * 50):
        with socket.create_connection(("127.0.0.1", broker.port), 5) as raw, \
                tls.wrap_socket(raw, server_hostname="localhost") as connection:
            connection.sendall(rubbish)
    with broker.connect("car-2") as mqtt:
        mqtt.publish("device/car-2/telemetry", "still here")
