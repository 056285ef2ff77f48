# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The update server's part of the benchmarks: polls, a million targets, files, rollouts.

The server is pinned to the first core and what loads it to the second one, unless two cores are said. Where
there is a ceiling (an evhttp that does nothing, nginx), it is measured in the same run, and the ratio counts
more than the figure: other programs on the machine slow both.
"""
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import time

import conftest
import test_ota

MILLION = 1_000_000


def pin(cpus):
    return lambda: os.sched_setaffinity(0, cpus)


def pin_process(pid, cpus):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cpus)


def load(build, program, *argv, cpus=None, timeout=120):
    done = subprocess.run([build / "tests/bench" / program, *map(str, argv)], capture_output=True, text=True,
                          timeout=timeout, check=False, preexec_fn=pin(cpus or {os.cpu_count() - 1}))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def running(folder, *options):
    server = test_ota.Server(folder, *options).start()
    pin_process(server.program.pid, {0})
    try:
        yield server
    finally:
        server.program.stop(120)


def request_file(folder, target="car-#"):
    path = pathlib.Path(folder) / "poll.http"
    path.write_bytes(f"GET /DEFAULT/controller/v1/{target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                     "Authorization: GatewayToken gate\r\nAccept: application/hal+json\r\n\r\n".encode())
    return path


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid):
    line = next(x for x in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


# ---- polls -------------------------------------------------------------------------------------------


def ceiling(build, folder, seconds):
    """What evhttp answers when its handler does nothing, on the same core with the same load."""
    port = conftest.free_port()
    program = conftest.Program([build / "tests/bench/bare_evhttp", port], pathlib.Path(folder) / "bare.log")
    try:
        conftest.wait_until(lambda: conftest.accepts(port), 10, "the bare evhttp")
        pin_process(program.pid, {0})
        before = cpu_seconds(program.pid)
        result = load(build, "poll_load", port, 16, seconds, request_file(folder, "POLL-1"))
        return result, cpu_seconds(program.pid) - before
    finally:
        program.kill()


def polls(report, build, folder, seconds):
    with running(folder) as server:
        server.gateway()
        request = request_file(folder, "POLL-1")
        load(build, "poll_load", server.port, 16, 0.5, request)
        before = cpu_seconds(server.program.pid)
        ours = load(build, "poll_load", server.port, 16, seconds, request)
        used = cpu_seconds(server.program.pid) - before
        per_poll = used / (ours["per_second"] * seconds)
    bare, bare_used = ceiling(build, folder, seconds)
    per_bare = bare_used / (bare["per_second"] * seconds)
    report.row("idle polls on one core, plain, kept", ours["per_second"], "1/s", 45000, at_most=False)
    report.row("the same, p99 with 16 connections", ours["p99_ms"], "ms")
    report.row("the same, CPU of the server per poll", per_poll * 1e6, "µs")
    report.row("bare evhttp on one core", bare["per_second"], "1/s")
    report.row("bare evhttp, CPU per request", per_bare * 1e6, "µs")
    report.row("polls to bare evhttp, by rate", ours["per_second"] / bare["per_second"], "")
    report.row("polls to bare evhttp, by CPU", per_bare / per_poll, "")
    report.section("Idle polls on one core", "tests/bench/bench.py --only ota-polls",
                   f"`poll_load` with 16 kept connections on the other core for {seconds:g} s, one request at a time on each, "
                   "against the server and against `bare_evhttp`, which answers the same bytes and does nothing else. The "
                   "ratio by CPU is the one that other programs on the machine disturb least.")


def tls_polls(report, build, folder, seconds):
    """On the cloud's own TLS door: with the thing's certificate, and with a gateway's token."""
    cloud = conftest.Cloud(folder).start()
    try:
        name = "POLL-1"
        files = cloud.create_thing(name)
        pid = cloud.children()["ota"]
        pin_process(pid, {0})
        for key, value in (("authentication.gatewaytoken.enabled", True), ("authentication.gatewaytoken.key", "gate")):
            assert cloud.api("PUT", f"/rest/v1/system/configs/{key}", {"value": value})[0] == 204
        request = request_file(folder, name)
        tls = ["--port", cloud.https_port, "--ca", files / "root-CA.crt", "--request", request, "--seconds", seconds]
        mutual = [*tls, "--cert", files / f"{name}.cert.pem", "--key", files / f"{name}.private.key"]
        for what, argv in (("TLS, kept", tls), ("TLS, a resumed session each", [*tls, "--new"]),
                           ("mutual TLS, kept", mutual), ("mutual TLS, a resumed session each", [*mutual, "--new"])):
            load(build, "fleet_load", *argv[:-1 if "--new" in argv else None], "--seconds", 0.3)
            before = cpu_seconds(pid)
            result = load(build, "fleet_load", *argv)
            used = cpu_seconds(pid) - before
            report.row(f"idle polls on one core, {what}", result["per_second"], "1/s")
            report.row("the same, CPU of the server per poll", used / max(1, result["per_second"] * seconds) * 1e6, "µs")
            if "--new" in argv:
                report.row("the same, sessions resumed", 100 * result["resumed"] / result["connections"], "%")
    finally:
        cloud.stop()
    report.section("Idle polls with TLS", "tests/bench/bench.py --only ota-tls",
                   "`fleet_load` with 16 threads on the other core, TLS 1.3. Resumed: a new connection for each poll with the ticket "
                   "of the one before. With a certificate the registry is asked at each poll whether it is still active.")


# ---- a million targets -------------------------------------------------------------------------------


def fill(path, n):
    """Rows of targets as registration leaves them; the server is not running."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        tenant = db.execute("SELECT id FROM tenant WHERE name='DEFAULT'").fetchone()[0]
        now = int(time.time() * 1000)
        db.execute("PRAGMA synchronous=OFF")
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<?2) "
                   "INSERT INTO target(tenant, controller_id, name, description, address, token, status, last_query_at,"
                   " request_attributes, created_by, created_at, modified_by, modified_at) "
                   "SELECT ?1, 'car-'||i, 'car-'||i, 'Plug and Play target: car-'||i, 'http://127.0.0.1',"
                   " lower(hex(randomblob(16))), 1, ?3, 0, 'bench', ?3, 'bench', ?3 FROM n", (tenant, n, now))
        db.commit()


def million(report, build, folder, seconds):
    with running(folder) as server:
        server.gateway()
        rest = rss_mb(server.program.pid)
        server.program.stop()
        began = time.monotonic()
        server.start()
        report.row("started, empty", time.monotonic() - began, "s", 0.2)
        report.row("RSS at rest, empty", rest, "MB", 20)
        server.program.stop()
        fill(server.data / "ota.db", MILLION)
        began = time.monotonic()
        server.start()
        assert server.expect(200, "GET", "/rest/v1/targets?limit=1")["total"] == MILLION
        report.row("started, a million targets, first count answered", time.monotonic() - began, "s", 20)
        pid = server.program.pid
        pin_process(pid, {0})
        # every target polls once: from here on all are known
        argv = ["--port", server.port, "--request", request_file(folder), "--targets", MILLION]
        first = load(build, "fleet_load", *argv, "--threads", 8, "--once", "--seconds", 60 * seconds, timeout=400)
        report.row("polls of targets not in memory", first["per_second"], "1/s")
        steady = load(build, "fleet_load", *argv, "--threads", 32, "--rate", 3333, "--seconds", 4 * seconds, timeout=300)
        report.row("p50 at 3 333 polls/s over a million targets", steady["p50_ms"], "ms")
        report.row("p99 at 3 333 polls/s over a million targets", steady["p99_ms"], "ms", 50)
        report.row("polls answered while so", steady["per_second"], "1/s")
        report.row("RSS with a million targets that poll", rss_mb(pid), "MB", 1000)
        report.row("database of a million targets", (server.data / "ota.db").stat().st_size / 1e6, "MB")
    report.section("A million targets", "tests/bench/bench.py --only ota-million",
                   "Rows made by one SQL statement. Then each target polls once, one after another, by gateway token (a miss: its "
                   "row is looked up and its answer kept), then `fleet_load` asks for one target after another at 3 333 requests a "
                   "second; a latency counts from when the request was due.")


# ---- files -------------------------------------------------------------------------------------------


def throughput(argv, size, cpus):
    """MB/s of the best of three runs of curl."""
    best = 0.0
    for _ in range(3):
        began = time.monotonic()
        done = subprocess.run(["curl", "-sS", "-f", "-o", "/dev/null", *map(str, argv)], check=False, timeout=300,
                              capture_output=True, text=True, preexec_fn=pin(cpus))
        assert done.returncode == 0, done.stderr
        best = max(best, size / 1e6 / (time.monotonic() - began))
    return best


@contextlib.contextmanager
def nginx(folder):
    """Debian's nginx with one worker on the server's core, serving `files` and taking PUT; None without it."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not program:
        print("  nginx is not installed (apt-get install nginx-light): its rows are left out")
        yield None
        return
    root, port = pathlib.Path(folder) / "nginx", conftest.free_port()
    (root / "files").mkdir(parents=True)
    (root / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log; user root;\n"
        "events {} http { access_log off; sendfile on; tcp_nopush on; client_max_body_size 2g;\n"
        f"client_body_temp_path {root}/body; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u;"
        f" scgi_temp_path {root}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; root {root}/files; location / {{ dav_methods PUT; }} }} }}\n")
    log = conftest.Program([program, "-c", root / "nginx.conf", "-e", root / "error.log"], root / "log")
    try:
        conftest.wait_until(lambda: conftest.accepts(port), 10, "nginx")
        for pid in [log.pid, *conftest.child_pids(log.pid)]:
            pin_process(pid, {0})
        yield f"http://127.0.0.1:{port}", root / "files"
    finally:
        log.stop()


def files(report, build, folder, megabytes):
    size = megabytes << 20
    content = pathlib.Path(folder) / "content.bin"
    with content.open("wb") as out:
        for _ in range(megabytes):
            out.write(os.urandom(1 << 20))
    client = {os.cpu_count() - 1}
    with running(folder) as server, nginx(folder) as other:
        module = server.expect(201, "POST", "/rest/v1/softwaremodules",
                               [{"name": "m", "version": "1", "type": "application"}])[0]["id"]
        artifacts = f"{server.url}/rest/v1/softwaremodules/{module}/artifacts"
        login = ["-u", test_ota.ADMIN]
        before, peak, best = rss_mb(server.program.pid), 0.0, 0.0
        for n in range(3):
            began = time.monotonic()
            upload = subprocess.Popen(["curl", "-sS", "-f", "-o", "/dev/null", *login, "-F",
                                       f"file=@{content};filename=a{n}.bin", artifacts], preexec_fn=pin(client))
            while upload.poll() is None:
                peak = max(peak, rss_mb(server.program.pid))
                conftest.pause(0.01)
            assert upload.returncode == 0
            best = max(best, size / 1e6 / (time.monotonic() - began))
            if n < 2:
                made = server.expect(200, "GET", f"/rest/v1/softwaremodules/{module}/artifacts")[-1]["id"]
                server.expect(200, "GET", f"/rest/v1/softwaremodules/{module}/artifacts/{made}")
                assert server.call("DELETE", f"/rest/v1/softwaremodules/{module}/artifacts/{made}")[0] in (200, 204)
        report.row("upload", best, "MB/s")
        report.row("RSS while uploading, above rest", max(0.0, peak - before), "MB")
        made = server.expect(200, "GET", f"/rest/v1/softwaremodules/{module}/artifacts")[-1]["id"]
        ours = throughput([*login, f"{artifacts}/{made}/download"], size, client)
        report.row("download", ours, "MB/s")
        if other:
            url, folder_of_files = other
            put = throughput(["-T", content, f"{url}/put.bin"], size, client)
            report.row("upload to nginx (PUT: no hashes, no sync)", put, "MB/s")
            shutil.copy(content, folder_of_files / "content.bin")
            theirs = throughput([f"{url}/content.bin"], size, client)
            report.row("download from nginx", theirs, "MB/s")
            report.row("upload to nginx's", best / put, "")
            report.row("download to nginx's", ours / theirs, "")
    report.section("Files", "tests/bench/bench.py --only ota-files",
                   f"curl on the other core with a file of {megabytes} MiB of random bytes, the best of three runs each. Our upload "
                   "computes MD5, SHA-1 and SHA-256 on the way and syncs the file before it answers.")


# ---- rollouts ----------------------------------------------------------------------------------------


def rollouts(report, build, folder, _seconds):
    for n, aim in ((10_000, 0.5), (100_000, 3)):
        place = pathlib.Path(folder) / str(n)
        place.mkdir()
        with running(place) as server:
            server.gateway()
            ds = server.set_with("app", "1", b"1")
            server.program.stop()
            fill(server.data / "ota.db", n)
            server.start()
            began = time.monotonic()
            rollout = server.rollout(name="r", distributionSetId=ds, amountGroups=5,
                                     successCondition={"condition": "THRESHOLD", "expression": "100"},
                                     errorCondition={"condition": "THRESHOLD", "expression": "50"})
            server.rollout_is(rollout, "ready", 300)
            server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start", timeout=120)
            server.rollout_is(rollout, "running", 300)
            report.row(f"rollout over {n:,} targets, creation to first group running", time.monotonic() - began, "s", aim)
    report.section("Rollouts", "tests/bench/bench.py --only ota-rollouts",
                   "From POST /rest/v1/rollouts with five groups until the rollout, started as soon as it is ready, is running; status "
                   "asked every 20 ms.")
