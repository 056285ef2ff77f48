# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The agent alone, between a real broker, an update server and apps that fail in every way."""
import io
import os
import pathlib
import re
import signal
import stat
import subprocess
import zipfile

import conftest
import pytest
from conftest import ROOT, TCU, wait_until
from mqtt_client import Mqtt
from tcu_world import (  # noqa: F401 (world is a fixture)
    CRASHES, GOOD, MANIFEST, NO_TELEMETRY, PRINTS, PYTHON, SILENT,
    VIN, Agent, make_app, make_zip, missing, world)

# ---- the good way ------------------------------------------------------------------------------------


def test_an_update_is_installed_confirmed_and_reported(world):
    agent = world.agent()
    world.wait_version("1.0")
    wait_until(lambda: world.server.attributes, 5, "attributes")
    first = world.server.attributes[0]
    assert first["mode"] == "merge" and first["data"]["version"] == "1.0" and first["data"]["slot"] == "a"

    world.server.offer(3, "1.1", make_app("1.1"))
    assert world.wait_closed(3)[0] == "success"
    world.wait_version("1.1")
    assert world.server.executions(3) == ["proceeding", "download", "downloaded", "proceeding", "proceeding", "closed"]
    wait_until(lambda: [u["State"] for u in world.listener.updates("3")] ==
               ["downloading", "downloaded", "installing", "trial", "confirmed"], 5, "the events")
    assert {(u["From"], u["To"]) for u in world.listener.updates("3")} == {("1.0", "1.1")}
    assert agent.current() == "b"
    wait_until(lambda: not list((agent.dir / "download").iterdir()), 5, "an empty folder of downloads")
    wait_until(lambda: world.server.attributes[-1]["data"]["version"] == "1.1", 5, "new attributes")

    lines = agent.journal()
    assert re.match(r"\S+Z boot slot=a version=1.0 success$", lines[0])
    assert re.match(r"\S+Z update action=3 slot=b from=1.0 to=1.1 success", lines[1])
    assert not missing(world.listener.sequences())
    assert world.listener.sequences() == sorted(world.listener.sequences())
    agent.stop()
    agent.start()
    wait_until(lambda: len(agent.journal()) == 3, 5, "the second boot's line")
    assert "boot slot=b version=1.1 success" in agent.journal()[2]


def test_telemetry_has_a_gap_below_one_second_during_an_update(world):
    world.agent()
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1"))
    world.wait_closed(3)
    times = [(m["Timestamp"], m["SoftwareVersion"]) for m in world.listener.telemetry()]
    last_old = max(t for t, v in times if v == "1.0")
    first_new = min(t for t, v in times if v == "1.1")
    seconds = lambda t: float(t[14:16]) * 60 + float(t[17:23])
    assert (seconds(first_new) - seconds(last_old)) % 3600 < 1.0 * conftest.SLOW


def test_a_hint_polls_at_once(world):
    agent = world.agent("--poll-s", "1h")
    world.wait_version("1.0")
    wait_until(lambda: world.server.polls, 5, "the first poll")
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: agent.status().get("broker") == "connected", 5, "the connection")
    with Mqtt(world.broker.port, None, "hinter") as hinter:
        hinter.publish(f"device/{VIN}/poll", "now")
    assert world.wait_closed(3)[0] == "success"


def test_an_action_is_not_done_twice(world):
    agent = world.agent()
    world.wait_version("1.0")
    package = make_app("1.1")
    world.server.offer(3, "1.1", package)
    world.wait_closed(3)
    world.server.feedback.clear()
    world.server.offer(3, "1.1", package)  # a server that was restored from a backup
    assert world.wait_closed(3)[0] == "success"
    assert world.server.executions(3) == ["closed"]
    world.server.offer(4, "1.1", package)  # another action, the same content
    finished, details = world.wait_closed(4)
    assert finished == "success" and "already" in details
    assert agent.current() == "b" and world.server.executions(4) == ["closed"]


@pytest.mark.parametrize("kind", ["sha1", "md5"])
def test_an_older_hash_is_enough(world, kind):
    world.agent()
    world.server.offer(3, "1.1", make_app("1.1"), hashes=(kind,))
    assert world.wait_closed(3)[0] == "success"


# ---- packages that must not run -----------------------------------------------------------------------


def link_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("manifest.xml", MANIFEST % (PYTHON, "1"))
        info = zipfile.ZipInfo("main.py")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        package.writestr(info, "/etc/passwd")
    return out.getvalue()


BAD_PACKAGES = {
    "climbs": (make_app("9", more=[("../evil", "x")]), "climbs out"),
    "absolute": (make_app("9", more=[("/tmp/evil-of-driveline", "x")]), "absolute"),
    "link": (link_zip(), "link"),
    "bomb": (make_app("9", more=[("zeros", b"\0" * (64 << 20))]), "unpacks to more than"),
    "no zip": (b"this is no zip at all, but long enough to look at", "broken"),
    "no manifest": (make_zip([("main.py", GOOD)]), "manifest.xml"),
    "broken manifest": (make_app("9", manifest="<project><name>x</name>"), "manifest"),
    "entity manifest": (make_app("9", manifest="<!DOCTYPE p [<!ENTITY a 'b'>]><project><name>&a;</name>"
                                               "<run_command>x</run_command></project>"), "document type"),
    "shell": (make_app("9", manifest=(MANIFEST % (PYTHON, "9")).replace("main.py", "main.py; reboot")), "shell"),
    "no program": (make_app("9", manifest="<project><name>x</name><run_command>./car</run_command></project>"), "./car"),
}


def test_bad_packages_are_refused_with_their_reason(world):
    agent = world.agent()
    world.wait_version("1.0")
    for action, (name, (package, reason)) in enumerate(BAD_PACKAGES.items(), 10):
        world.server.offer(action, "9", package)
        finished, details = world.wait_closed(action)
        assert finished == "failure" and reason in details, f"{name}: {details}"
        assert "trial" not in [u["State"] for u in world.listener.updates(str(action))]
    assert agent.current() == "a" and world.listener.version() == "1.0"
    assert not (agent.dir / "slots/b").exists()
    assert not pathlib.Path("/tmp/evil-of-driveline").exists() and not (agent.dir / "slots/evil").exists()
    # None of them has cost a message, and a good one is taken after all of them.
    world.server.offer(99, "1.1", make_app("1.1"))
    assert world.wait_closed(99)[0] == "success"
    assert not missing(world.listener.sequences())


def test_a_flipped_bit_is_never_unpacked(world):
    agent = world.agent()
    package = make_app("1.1")
    flipped = bytearray(package)
    flipped[len(flipped) // 2] ^= 1
    world.server.offer(3, "1.1", package, served=bytes(flipped))
    finished, details = world.wait_closed(3)
    assert finished == "failure" and "sha256" in details
    assert not (agent.dir / "slots/b").exists()


def test_another_length_than_promised_is_refused(world):
    agent = world.agent()
    package = make_app("1.1")
    world.server.offer(3, "1.1", package, served=package + b"x")
    wait_until(lambda: "were promised" in agent.program.text(), 10, "the refusal")
    world.server.offer(4, "1.1", package)
    assert world.wait_closed(4)[0] == "success"


# ---- apps that fail ------------------------------------------------------------------------------------


def check_rolled_back(world, agent, action, reason):
    finished, details = world.wait_closed(action)
    assert finished == "failure" and reason in details, details
    wait_until(lambda: (world.listener.updates(str(action)) or [{}])[-1].get("State") == "rolled_back", 5, "the event")
    assert reason in world.listener.updates(str(action))[-1]["Cause"]
    assert agent.current() == "a"
    world.wait_version("1.0")
    seen = len(world.listener.telemetry())
    wait_until(lambda: len(world.listener.telemetry()) > seen + 2, 5, "telemetry again")
    assert any("rolled_back" in line and reason in line for line in agent.journal())


def test_an_app_that_crashes_at_start_is_rolled_back_with_its_cause(world):
    agent = world.agent()
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1", CRASHES))
    check_rolled_back(world, agent, 3, "exited with status 1; it said: no brake module in this version")
    world.server.feedback.clear()
    world.server.offer(3, "1.1", make_app("1.1", CRASHES))  # the same action again isn't tried again
    assert world.wait_closed(3)[0] == "failure"
    assert world.server.executions(3) == ["closed"]


def test_an_app_that_never_answers_is_rolled_back(world):
    agent = world.agent("--answer-s", "400ms")
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1", SILENT))
    check_rolled_back(world, agent, 3, "did not answer within 400 ms")


def test_an_app_that_stops_reporting_is_rolled_back(world):
    agent = world.agent()
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1", NO_TELEMETRY))
    check_rolled_back(world, agent, 3, "sent only 1 telemetry messages")


def test_an_app_that_dies_is_started_again(world):
    agent = world.agent()
    world.wait_version("1.0")
    os.kill(agent.apps()[0], signal.SIGSEGV)
    seen = len(world.listener.telemetry())
    wait_until(lambda: len(world.listener.telemetry()) > seen + 3, 5, "telemetry of the next run")
    assert "was killed by signal 11" in agent.program.text()
    assert not missing(world.listener.sequences())


def test_an_app_that_only_prints_is_taken_at_the_rate_that_was_asked_for(world):
    agent = world.agent("--report-ms", "200", app=make_app("1.0", PRINTS))
    world.wait_version("1.0")
    before = len(world.listener.telemetry())
    conftest.pause(1.5)
    assert 4 <= len(world.listener.telemetry()) - before <= 8
    assert agent.status()["app"] == "running"


def test_a_first_app_that_cannot_be_installed_is_one_clear_line(world):
    agent = world.agent(app=make_zip([("main.py", GOOD)]), start=False).start()
    assert agent.program.wait() == 1
    assert "cannot install the app" in agent.program.text() and "manifest.xml" in agent.program.text()
    assert "boot slot=- version=0 failure: cannot install the app" in agent.journal()[0]


# ---- permission and cancellation ------------------------------------------------------------------------


def test_a_closed_window_lets_it_download_and_wait(world):
    agent = world.agent()
    package = make_app("1.1")
    world.server.offer(3, "1.1", package, update="skip", window="unavailable")
    wait_until(lambda: "downloaded" in world.server.executions(3), 10, "the download")
    wait_until(lambda: "waits for permission" in agent.why(), 5, "the reason")
    agent.kill()
    agent.start()
    wait_until(lambda: "waits for permission" in agent.why(), 5, "the reason after a restart")
    assert agent.current() == "a"
    world.server.offer(3, "1.1", package, window="available")
    assert world.wait_closed(3)[0] == "success"
    assert world.server.ranges == [None]


def test_a_cancellation_is_obeyed_before_the_switch(world):
    agent = world.agent()
    world.server.offer(3, "1.1", make_app("1.1"), update="skip")
    wait_until(lambda: agent.state() == "wait", 10, "the state 'wait'")
    world.server.canceled = "3"
    wait_until(lambda: world.server.cancel_feedback, 10, "the answer")
    action, status = world.server.cancel_feedback[0]
    assert (action, status["execution"], status["result"]["finished"]) == ("3", "closed", "success")
    wait_until(lambda: agent.state() == "idle", 5, "rest")
    assert agent.current() == "a"
    wait_until(lambda: not list((agent.dir / "download").iterdir()), 5, "an empty folder of downloads")


def test_a_cancellation_is_rejected_when_it_is_too_late(world):
    agent = world.agent("--trial-s", "3s")
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: agent.state() == "trial", 10, "the trial")
    world.server.canceled = "3"
    wait_until(lambda: world.server.cancel_feedback, 10, "the answer")
    assert world.server.cancel_feedback[0][1]["execution"] == "rejected"
    assert world.wait_closed(3)[0] == "success"
    assert agent.current() == "b"


# ---- the command line -----------------------------------------------------------------------------------


def test_a_second_agent_in_the_same_folder_is_refused(world):
    world.agent()
    world.wait_version("1.0")
    second = Agent(world.folder)
    second.log = world.folder / "second.log"
    second.start()
    assert second.program.wait() == 1
    assert "another driveline-tcu works in" in second.program.text()


def test_a_stopped_agent_leaves_nothing_running_and_can_be_asked(world):
    agent = world.agent()
    world.wait_version("1.0")
    apps = agent.apps()
    assert len(apps) == 1
    agent.stop()
    assert not pathlib.Path(f"/proc/{apps[0]}").exists()
    assert not (agent.dir / "tcu.sock").exists()
    status = agent.status()
    assert status["app"] == "stopped" and "does not run" in status["why"] and status["version"] == "1.0"
    text = subprocess.run([TCU, "status", "--dir", agent.dir], capture_output=True, text=True, check=True).stdout
    assert "slot      a" in text and "why " in text


def test_a_person_can_drive(world):
    agent = world.agent("--interactive", "--time-scale", "10", start=False)
    agent.start(stdin=subprocess.PIPE)
    world.wait_version("1.0")
    say = lambda line: (agent.program.child.stdin.write(line.encode() + b"\n"), agent.program.child.stdin.flush())
    say("start")
    say("accelerate 60")
    wait_until(lambda: world.listener.telemetry()[-1]["Engine"]["Speed"] > 5, 10, "a moving car")
    say("brake 50")
    wait_until(lambda: world.listener.telemetry()[-1]["Engine"]["Speed"] < 0.5, 10, "a standing car")
    say("fly")
    agent.program.wait_for_text("also: status, quit")
    say("status")
    say("quit")
    assert agent.program.wait() == 0
    assert "km/h" in agent.program.text()


@pytest.mark.parametrize("argv, text", [
    ([], "which folder"),
    (["--dir", "x", "--log-level", "loud"], "--log-level"),
    (["--dir", "x"], "who is the car"),
    (["--dir", "x", "--id", "a/b"], "can't be a thing's name"),
    (["--dir", "x", "--id", "a", "--mqtt", "nowhere:0"], "--mqtt needs"),
    (["--dir", "x", "--id", "a", "--time-scale", "0"], "out of range"),
    (["--dir", "x", "--id", "a", "--server", "ftp://x"], "URL"),
    (["--dir", "x", "--id", "a", "--cycle", "nothing.csv"], "nothing.csv"),
    (["--dir", "x", "--identity", "."], "certificates"),
    (["--wings"], "unknown option"),
    (["status"], "which folder"),
    (["status", "--dir", "nothing-here"], "nothing-here"),
])
def test_misuse_is_one_clear_line(tmp_path, argv, text):
    done = subprocess.run([TCU, *argv], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode in (1, 2) and text in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_each_option_is_in_the_man_page():
    page = (ROOT / "man/driveline-tcu.1").read_text().replace("\\-", "-")
    for words in (["--help"], ["status", "--help"]):
        usage = subprocess.run([TCU, *words], capture_output=True, text=True, check=True).stdout
        for option in re.findall(r"^\s+(?:-\w,)?\s*(--[a-z-]+)", usage, re.M):
            assert option in page, f"{option} isn't documented"
    assert subprocess.run([TCU, "--version"], capture_output=True, text=True, check=True).stdout.startswith("driveline-tcu ")
