# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The agent alone, when servers fail, links break and somebody kills it."""
import json
import os
import ssl
import subprocess
import threading

import conftest
import pytest
from conftest import ROOT, TCU, free_port, wait_until
from ddi_server import DdiServer
from mqtt_client import Mqtt
from tcu_world import (  # noqa: F401 (world is a fixture)
    CRASHES, GOOD, PYTHON, VIN, Agent, Broker,
    Listener, make_app, missing, world)

# ---- servers that fail ---------------------------------------------------------------------------------


def broken_after(world, count, times):
    """The artifact's transfer breaks after `count` bytes, `times` times."""
    left = [times]

    def quirk(h):
        if "/artifacts/" not in h.path or left[0] <= 0:
            return False
        left[0] -= 1
        data = world.server.offered[4]
        wanted = h.headers.get("Range")
        world.server.ranges.append(wanted)
        start = int(wanted[6:-1]) if wanted else 0
        h.send_response(206 if start else 200)
        h.send_header("Content-Length", str(len(data) - start))
        h.send_header("ETag", '"tag"')
        if start:
            h.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        h.end_headers()
        h.wfile.write(data[start:start + count])
        h.wfile.flush()
        h.close_connection = True
        return True
    world.server.quirk = quirk


def test_a_broken_download_is_resumed_where_it_broke(world):
    world.agent()
    package = make_app("1.1", more=[("ballast", os.urandom(30000))])
    broken_after(world, 10000, 2)
    world.server.offer(3, "1.1", package)
    assert world.wait_closed(3)[0] == "success"
    assert world.server.ranges[0] is None
    starts = [int(r[6:-1]) for r in world.server.ranges[1:]]
    assert starts[0] == 10000 and starts[1] == 20000


def test_a_download_goes_on_after_a_kill_of_the_agent(world):
    agent = world.agent()
    package = make_app("1.1", more=[("ballast", os.urandom(200000))])
    hold = threading.Event()

    def quirk(h):
        if "/artifacts/" not in h.path or hold.is_set():
            return False
        h.send_response(200)
        h.send_header("Content-Length", str(len(package)))
        h.end_headers()
        h.wfile.write(package[:100000])
        h.wfile.flush()
        hold.wait(10)
        h.close_connection = True
        return True
    world.server.quirk = quirk
    world.server.offer(3, "1.1", package)
    part = agent.dir / "download/3.part"
    wait_until(lambda: part.exists() and part.stat().st_size >= 50000, 10, "a part of the package")
    agent.kill()
    hold.set()
    agent.start()
    assert world.wait_closed(3)[0] == "success"
    assert world.server.ranges[-1].startswith("bytes=") and int(world.server.ranges[-1][6:-1]) >= 50000


def test_rubbish_errors_and_silence_of_the_server_do_no_harm(world):
    agent = world.agent()
    world.wait_version("1.0")
    release = threading.Event()
    asked = []

    def answer_with(status, body):
        def quirk(h):
            asked.append(h.path)
            world.server.send(h, status, body, "application/json")
            return True
        return quirk

    def hang(h):
        asked.append(h.path)
        release.wait(5)
        h.close_connection = True
        return True

    def no_http(h):
        asked.append(h.path)
        h.wfile.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        h.close_connection = True
        return True

    deep = b'{"a":' * 1000
    for quirk in (answer_with(500, b""), answer_with(200, b"<html>"), answer_with(200, deep), answer_with(401, b""),
                  answer_with(200, b'{"_links":{"deploymentBase":{"href":"http://evil.example/x"}}}'),
                  answer_with(200, b"x" * (2 << 20)), no_http, hang):
        asked.clear()
        world.server.quirk = quirk
        with Mqtt(world.broker.port, None, "hinter") as hinter:
            hinter.publish(f"device/{VIN}/poll", "")
        wait_until(lambda: asked, 10, "a request")
        wait_until(lambda: agent.why().startswith("update server: "), 10, "the reason in the status")
    world.server.quirk = None
    release.set()
    world.server.offer(3, "1.1", make_app("1.1"))
    assert world.wait_closed(3, 40)[0] == "success"
    assert not missing(world.listener.sequences())


def test_a_server_that_never_has_the_artifact_ends_in_a_failure(world):
    world.agent()

    def quirk(h):
        if "/artifacts/" not in h.path:
            return False
        world.server.send(h, 404)
        return True
    world.server.quirk = quirk
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: "HTTP 404 for the artifact" in world.agents[0].program.text(), 10, "the refusal")
    wait_until(lambda: "404" in world.agents[0].why() or world.server.closed(3), 10, "the reason")
    world.server.offered = None
    wait_until(lambda: world.agents[0].state() == "idle", 10, "the end of an action that is gone")


def test_the_outcome_is_told_until_the_server_takes_it(world):
    agent = world.agent()
    world.wait_version("1.0")

    def quirk(h):
        if not h.path.endswith("/feedback") or b'"closed"' not in h.body:
            return False
        world.server.send(h, 500)
        return True
    world.server.quirk = quirk
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: agent.state() == "report", 10, "the state 'report'")
    wait_until(lambda: "isn't delivered" in agent.why(), 10, "the reason")
    agent.kill()
    agent.start()
    wait_until(lambda: "isn't delivered" in agent.why(), 10, "the reason")
    world.server.quirk = None
    assert world.wait_closed(3)[0] == "success"
    wait_until(lambda: agent.state() == "idle", 5, "rest")
    assert [u["State"] for u in world.listener.updates("3")].count("confirmed") == 1


@pytest.mark.parametrize("status", [404, 410])
def test_an_outcome_that_nobody_wants_is_dropped(world, status):
    agent = world.agent()
    told = []

    def quirk(h):
        if not h.path.endswith("/feedback") or b'"closed"' not in h.body:
            return False
        world.server.offered = None
        told.append(h.path)
        world.server.send(h, status)
        return True
    world.server.quirk = quirk
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: told, 10, "the outcome")
    wait_until(lambda: agent.state() == "idle", 10, "rest")
    assert agent.current() == "b" and len(told) == 1


def test_a_token_is_sent_and_a_wrong_one_is_named(world):
    world.server.token = "GatewayToken 0123456789abcdef"
    token = world.folder / "token"
    token.write_text("wrong\n")
    agent = world.agent("--gateway-token-file", token)
    wait_until(lambda: "HTTP 401" in agent.why(), 10, "the reason in the status")
    agent.stop()
    token.write_text("0123456789abcdef\n")
    agent.start()
    world.server.offer(3, "1.1", make_app("1.1"))
    assert world.wait_closed(3)[0] == "success"


# ---- kills ----------------------------------------------------------------------------------------------


@pytest.fixture
def slow_unpacker(tmp_path):
    """An unpacker that unpacks only once a file is there: holds the agent in UNPACK (or the check before)."""
    script = tmp_path / "unpacker.py"
    gate = tmp_path / "gate"
    script.write_text(f"""
import os, pathlib, sys, threading
args = sys.argv[1:]
while len(args) - args.index("--") > 2 and not pathlib.Path({str(gate)!r}).exists():
    threading.Event().wait(0.02)
os.execv({str(TCU.parent / "driveline-unpack")!r}, ["driveline-unpack", *args])
""")
    return f"{PYTHON} -ISu '{script}'", gate


# The old app takes its time to stop: the agent stays in SWITCH, or in ROLLBACK, for a moment.
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + GOOD + "signal.pause()\n"


def test_a_kill_in_any_state_ends_in_a_version_that_runs(world, slow_unpacker):
    command, gate = slow_unpacker
    gate.touch()
    agent = world.agent("--unpack-command", command, app=make_app("1.0", STUBBORN))
    world.wait_version("1.0")
    version = "1.0"
    plan = [("download", STUBBORN, True), ("wait", STUBBORN, True), ("unpack", STUBBORN, True),
            ("switch", STUBBORN, True), ("trial", STUBBORN, True), ("report", STUBBORN, True),
            ("trial", STUBBORN.replace('"telemetry"', '"nothing"'), None)]
    for action, (state, code, good) in enumerate(plan, 1):
        target = f"2.{action}"
        hold = threading.Event()

        def quirk(h, state=state, hold=hold):
            if (state == "download" and "/artifacts/" in h.path or
                    state == "report" and h.path.endswith("/feedback") and b'"closed"' in h.body) and not hold.is_set():
                hold.wait(20)
                h.close_connection = True
                return True
            return False
        world.server.quirk = quirk
        if state == "unpack":
            gate.unlink()
        world.server.offer(action, target, make_app(target, code), update="skip" if state == "wait" else "forced")
        wait_until(lambda: agent.state() == state, 15, f"the state '{state}'", every=0.003)
        agent.kill()
        hold.set()
        world.server.quirk = None
        gate.touch()
        assert (agent.dir / "slots" / agent.current() / "manifest.xml").exists()
        agent.start()
        if world.server.offered:
            world.server.options["update"] = "forced"
        if good is None:
            for _ in range(2):  # it takes the agent down again and again
                wait_until(lambda: agent.state() == "trial" and agent.apps(), 10, "the trial")
                agent.kill()
                agent.start()
            finished, details = world.wait_closed(action)
            assert finished == "failure" and "during the trial" in details, details
        else:
            assert world.wait_closed(action)[0] == "success"
            version = target
        world.wait_version(version)
    sequences = world.listener.sequences()
    assert not missing(sequences), missing(sequences)
    assert len(sequences) - len(set(sequences)) <= 16 * len(plan) * 2


def test_kills_at_random_moments_of_updates(world):
    import random
    chance = random.Random(7)
    agent = world.agent("--trial-s", "300ms")
    world.wait_version("1.0")
    for action in range(1, 9):
        bad = action % 3 == 0
        world.server.offer(action, f"3.{action}", make_app(f"3.{action}", CRASHES if bad else GOOD))
        conftest.pause(chance.uniform(0.0, 0.7))
        agent.kill()
        agent.start()
        finished, _ = world.wait_closed(action)
        assert finished == ("failure" if bad else "success")
    world.wait_version("3.8")
    assert not missing(world.listener.sequences())


# ---- the link -------------------------------------------------------------------------------------------


def test_what_was_measured_without_a_link_arrives_in_order(world):
    port = free_port()
    agent = world.agent(port=port)
    wait_until(lambda: agent.status().get("spooled", 0) > 10, 10, "messages in the spool")
    agent.kill()
    agent.start()
    wait_until(lambda: agent.status().get("spooled", 0) > 15, 10, "more messages in the spool")
    wait_until(lambda: "Connection refused" in agent.status()["broker"], 10, "the reason in the status")
    folder = world.folder / "late"
    folder.mkdir()
    late = Broker(folder, port).start()
    try:
        listener = Listener(port)
        wait_until(lambda: len(set(listener.sequences())) > 25, 40, "the messages")
        late.kill()
        conftest.pause(0.5)
        late.start()
        again = Listener(port)
        wait_until(lambda: len(again.sequences()) > 10, 40, "messages after the second connection")
        sequences = listener.sequences() + again.sequences()
        # Whoever listens later than the agent connects may miss the first; none is missing later on.
        assert again.sequences() == sorted(again.sequences())
        first = min(listener.sequences())
        assert listener.sequences() == list(range(first, first + len(listener.sequences())))
        assert len(sequences) - len(set(sequences)) <= 16
    finally:
        agent.kill()
        late.program.stop()


def spooled(agent):
    """The messages in the spool's files, oldest first."""
    found = []
    for path in sorted((agent.dir / "spool").glob("*.seg")):
        data, at = path.read_bytes(), 0
        while at + 24 <= len(data):
            size = int.from_bytes(data[at + 4:at + 8], "little")
            found.append(json.loads(data[at + 24:at + 24 + size]))
            at += 24 + size
    return found


def test_the_same_seed_gives_the_same_telemetry(world):
    def drive(name, seed):
        agent = Agent(world.folder / name, "--seed", seed, "--time-scale", "20", "--app", ROOT / "apps/car-python")
        world.agents.append(agent)
        agent.start()
        wait_until(lambda: agent.status().get("sequence", 0) >= 15, 20, "messages")
        agent.stop()
        return [{k: v for k, v in m.items() if k != "Timestamp"} for m in spooled(agent)[:15]]
    assert drive("one", "5") == drive("two", "5") != drive("three", "6")


def test_a_full_spool_loses_the_oldest_and_says_so(world):
    agent = world.agent("--time-scale", "100", "--report-ms", "10", "--spool-bytes", "65536", port=free_port())
    wait_until(lambda: agent.status().get("dropped", 0) > 0, 30, "dropped messages", every=0.2)
    status = agent.status()
    assert status["spool_bytes"] <= 65536 and status["spooled"] > 100


def make_certificates(folder, name):
    """A CA, a server's certificate and a thing's, by openssl."""
    def run(*words):
        subprocess.run(["openssl", *map(str, words)], cwd=folder, check=True, capture_output=True)
    folder.mkdir()
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
        "root-CA.crt", "-subj", "/CN=test CA", "-days", "2")
    for file, key, subject, extra in (("server.crt", "server.key", "/CN=localhost", "subjectAltName=IP:127.0.0.1"),
                                      (f"{name}.cert.pem", f"{name}.private.key", f"/CN={name}", "keyUsage=digitalSignature")):
        (folder / "ext").write_text(extra + "\n")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", "r.csr",
            "-subj", subject)
        run("x509", "-req", "-in", "r.csr", "-CA", "root-CA.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", file,
            "-days", "2", "-extfile", "ext")


def test_mutual_tls_to_broker_and_server(world):
    files = world.folder / "identity"
    make_certificates(files, VIN)
    folder = world.folder / "tls"
    folder.mkdir()
    broker = Broker(folder, lines=[f"cafile {files}/root-CA.crt", f"certfile {files}/server.crt",
                                   f"keyfile {files}/server.key", "require_certificate true",
                                   "use_identity_as_username true"]).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "server.crt", files / "server.key")
    context.load_verify_locations(files / "root-CA.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    server = DdiServer(VIN, context=context)
    try:
        client = ssl.create_default_context(cafile=files / "root-CA.crt")
        client.check_hostname = False
        client.load_cert_chain(files / f"{VIN}.cert.pem", files / f"{VIN}.private.key")
        listener = Listener(broker.port, client)
        agent = world.agent(port=broker.port, server=server.url, identity=files)
        wait_until(lambda: listener.version() == "1.0", 10, "telemetry over TLS")
        server.offer(3, "1.1", make_app("1.1"))
        assert wait_until(lambda: server.closed(3), 15, "the outcome")[0] == "success"
        wait_until(lambda: listener.version() == "1.1", 10, "telemetry of the new version")
        assert {m["DeviceID"] for m in listener.telemetry()} == {VIN}
        agent.stop()
        listener.client.close()
    finally:
        server.stop()
        broker.program.stop()
