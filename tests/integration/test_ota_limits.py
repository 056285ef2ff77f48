# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Clients that hang, trickle, flood or don't read, with real sockets: they are cut, and others are served."""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import socket
import time

import pytest

from conftest import DRIVELINE, SLOW, Program, accepts, pause, wait_until
from test_ota import ADMIN, Server

HEAD = b"GET /DEFAULT/controller/v1/car HTTP/1.1\r\nHost: x\r\n"
STALL = 1.0


@pytest.fixture
def make_server(tmp_path):
    made = []

    def make(*options):
        made.append(Server(tmp_path, "--stall-timeout", f"{int(STALL * 1000)}ms", *options).start())
        return made[-1]
    yield make
    for s in made:
        assert s.program.stop() == 0, s.program.text()[-3000:]


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=20 * SLOW)


def is_served(server):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.call("GET", "/actuator/health")[0] == 200


def is_cut(sock):
    """The other side has closed it, whatever it may have said before."""
    sock.setblocking(False)
    try:
        while sock.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def trickle_until_cut(server, sock, data):
    """Sends a byte of `data` every now and then; how long it was until the server hung up."""
    began = time.monotonic()
    for byte in data:
        with contextlib.suppress(OSError):
            sock.send(bytes([byte]))
        pause(0.1)
        assert is_served(server)
        if is_cut(sock):
            return time.monotonic() - began
        assert time.monotonic() - began < 20 * SLOW, "it was never cut"
    raise AssertionError("it was not cut before the data's end")


def rss_kb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def device(server, name="car"):
    token = server.gateway()
    return {"Authorization": token}, f"/DEFAULT/controller/v1/{name}"


def big_module(server, size):
    content = os.urandom(1 << 20) * (size >> 20)
    module, artifact = server.module_with("big", "1", content, "big.bin")
    return f"/rest/v1/softwaremodules/{module}/artifacts/{artifact['id']}/download", content


def basic():
    return b"Authorization: Basic YWRtaW46YWRtaW4=\r\n"


# ---- time ------------------------------------------------------------------------------------------------


def test_a_head_that_trickles_is_cut(make_server):
    server = make_server()
    with connect(server) as s:
        assert STALL * 0.8 < trickle_until_cut(server, s, HEAD * 10) < 10 * SLOW


def test_a_connection_that_says_nothing_is_cut(make_server):
    server = make_server()
    with connect(server) as silent:
        wait_until(lambda: is_cut(silent), 10, "the silent connection to be cut")
        assert is_served(server)


def test_a_body_that_trickles_is_cut_and_one_that_stops_too(make_server):
    server = make_server()
    head = b"POST /rest/v1/targets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n"
    with connect(server) as trickling, connect(server) as stopped:
        stopped.sendall(head + basic() + b"\r\n[{")
        trickling.sendall(head + basic() + b"\r\n")
        trickle_until_cut(server, trickling, b"[" + b" " * 1000)
        wait_until(lambda: is_cut(stopped), 10, "the stopped body to be cut")
    assert server.expect(200, "GET", "/rest/v1/targets")["total"] == 0


def test_a_kept_connection_may_rest_between_requests(make_server):
    server = make_server()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20 * SLOW)
    for _ in range(2):
        connection.request("GET", "/actuator/health")
        assert connection.getresponse().read() == b'{"status":"UP"}'
        pause(STALL * 2)
    connection.close()


def test_downloads_that_nobody_reads_are_cut_and_hold_no_memory(make_server):
    server = make_server()
    path, content = big_module(server, 32 << 20)
    before = rss_kb(server.program.pid)
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(connect(server)) for _ in range(30)]
        for s in sockets:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n".encode() + basic() + b"\r\n")
        assert is_served(server)
        assert rss_kb(server.program.pid) - before < 20_000
        fds = pathlib.Path(f"/proc/{server.program.pid}/fd")
        wait_until(lambda: len(list(fds.iterdir())) < 30, 20, "the downloads to be cut")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20 * SLOW)
    connection.request("GET", path, headers={"Authorization": basic().decode().split(": ")[1].strip()})
    assert hashlib.sha256(connection.getresponse().read()).digest() == hashlib.sha256(content).digest()
    connection.close()


def test_a_slow_download_that_moves_is_not_cut(make_server):
    server = make_server()
    path, content = big_module(server, 16 << 20)
    with connect(server) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + basic() + b"\r\n")
        got = hashlib.sha256()
        answer = http.client.HTTPResponse(s)
        answer.begin()
        began, n = time.monotonic(), 0
        while piece := answer.read(1 << 20):
            got.update(piece)
            n += len(piece)
            if time.monotonic() - began < 3 * STALL:
                pause(STALL / 4)
        assert n == len(content) and got.digest() == hashlib.sha256(content).digest()


# ---- numbers ---------------------------------------------------------------------------------------------


def test_one_address_has_so_many_connections(make_server):
    server = make_server("--peer-connections", "8")
    with contextlib.ExitStack() as held:
        for _ in range(7):
            held.enter_context(connect(server))
        wait_until(lambda: is_served(server), 5, "the eighth connection to be served")
        one_more = held.enter_context(connect(server))
        wait_until(lambda: is_cut(held.enter_context(connect(server))), 5, "the ninth connection to be refused")
        assert not is_cut(one_more)
    wait_until(lambda: is_served(server), 5, "room after the others went")


def test_a_flood_of_connections_leaves_files_for_the_rest(tmp_path):
    """With few descriptors: the connections end first, and the log says why."""
    server = Server(tmp_path)
    server.program = Program(["/usr/bin/prlimit", "--nofile=400:400", DRIVELINE, "serve", "ota", "--listen",
                              f"127.0.0.1:{server.port}", "--data", server.data, "--user",
                              f"{ADMIN}:DEFAULT:TENANT_ADMIN"], tmp_path / "ota.log")
    wait_until(lambda: accepts(server.port), 10, "the update server")
    with contextlib.ExitStack() as held:
        for _ in range(350):
            held.enter_context(connect(server))
        wait_until(lambda: "connections are open and new ones are refused" in server.program.text(), 10, "the log line")
    wait_until(lambda: accepts_a_write(server), 10, "room after the flood")
    assert server.program.text().count("new ones are refused") == 1
    assert server.program.stop() == 0


def accepts_a_write(server):
    with contextlib.suppress(OSError):
        return server.call("POST", "/rest/v1/targets", [{"controllerId": "after"}])[0] in (201, 409)


def test_a_flood_of_requests_is_answered_with_429_but_a_download_goes_on(make_server):
    server = make_server("--peer-reads", "40", "--peer-writes", "10")
    headers, path = device(server)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20 * SLOW)

    def ask(method="GET", target=path, **more):
        connection.request(method, target, headers={**headers, **more})
        answer = connection.getresponse()
        answer.read()
        return answer

    statuses = []
    for _ in range(400):
        answer = ask()
        statuses.append(answer.status)
        if answer.status == 429:
            assert answer.getheader("Retry-After") == "1"
            break
    assert statuses[-1] == 429 and statuses.count(200) >= 40
    for _ in range(20):  # whatever is a part of a download is never refused so
        assert ask(Range="bytes=0-").status == 200
        assert ask(target=path + "/softwaremodules/1/artifacts/a.bin").status == 404
    wait_until(lambda: ask().status == 200, 10, "the next second", every=0.1)
    assert 429 in [ask("PUT", path + "/configData", **{"Content-Type": "application/json"}).status for _ in range(100)]
    connection.close()


def test_without_a_limit_nobody_is_refused(make_server):
    server = make_server()
    headers, path = device(server)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20 * SLOW)
    for _ in range(500):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert json.loads(answer.read())["config"] and answer.status == 200
    connection.close()


# ---- the form of requests --------------------------------------------------------------------------------


def test_requests_in_one_packet_are_answered_in_order(make_server):
    server = make_server()
    token = server.gateway().encode()
    poll = HEAD + b"Authorization: " + token + b"\r\n\r\n"
    health = b"GET /actuator/health HTTP/1.1\r\nHost: x\r\n\r\n"
    body = b'{"data":{"a":"b"}}'
    put = (b"PUT /DEFAULT/controller/v1/car/configData HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           b"Authorization: " + token + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + f"{len(body):x}\r\n".encode() + body
           + b"\r\n0\r\n\r\n")
    last = health.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with connect(server) as s:
        s.sendall(poll + poll + health + poll + put + poll + poll + last)
        out = b""
        while piece := s.recv(65536):
            out += piece
    answers = out.split(b"HTTP/1.1 ")[1:]
    assert [a[:3] for a in answers] == [b"200"] * 8
    assert ["configData" in a.decode() for a in answers] == [True, True, False, True, False, False, False, False]
    assert ["UP" in a.decode() for a in answers] == [False, False, True, False, False, False, False, True]


def test_a_head_in_two_packets_and_one_within_a_body_are_no_polls(make_server):
    server = make_server()
    token = server.gateway().encode()
    poll = HEAD + b"Authorization: " + token + b"\r\n\r\n"
    with connect(server) as s:
        for _ in range(3):
            s.sendall(poll[:50])
            assert is_served(server)
            s.sendall(poll[50:])
            assert s.recv(65536).startswith(b"HTTP/1.1 200 OK")
        s.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(poll))
        assert is_served(server)
        s.sendall(poll)
        answer = s.recv(65536)
        assert answer.startswith(b"HTTP/1.1 404") and answer.count(b"HTTP/1.1") == 1
        s.sendall(poll)
        assert s.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_an_answer_from_memory_is_the_one_that_was_given_before(make_server):
    server = make_server()
    token = server.gateway()
    for extra in ({}, {"Accept": "application/cbor"}, {"Accept": "application/json", "Connection": "close"},
                  {"X-Forwarded-For": "192.0.2.7"}):
        answers = []
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20 * SLOW)
            connection.request("GET", "/DEFAULT/controller/v1/car", headers={"Authorization": token, **extra})
            answer = connection.getresponse()
            answers.append((answer.status, sorted((k, v) for k, v in answer.getheaders() if k != "Date"), answer.read()))
            connection.close()
        assert answers[0] == answers[1] == answers[2], extra


# ---- uploads ---------------------------------------------------------------------------------------------

MARK = b"a-boundary"


def frame(name=b"big.bin"):
    begin = b'--' + MARK + b'\r\nContent-Disposition: form-data; name="file"; filename="' + name + b'"\r\n\r\n'
    return begin, b"\r\n--" + MARK + b"--\r\n"


def upload_head(module, length, authorization=None):
    return (f"POST /rest/v1/softwaremodules/{module}/artifacts HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
            f"Content-Type: multipart/form-data; boundary={MARK.decode()}\r\n").encode() + (
        basic() if authorization is None else authorization) + b"\r\n"


def stored_files(server):
    return [p for p in (server.data / "artifacts").rglob("*") if p.is_file()]


def new_module(server, version="1"):
    return server.expect(201, "POST", "/rest/v1/softwaremodules",
                         [{"name": "m", "version": version, "type": "application"}])[0]["id"]


def test_an_upload_goes_to_the_disk_while_it_arrives(make_server):
    server = make_server()
    module = new_module(server)
    before = rss_kb(server.program.pid)
    piece = os.urandom(1 << 20)
    begin, end = frame()
    digest = hashlib.sha256()
    with connect(server) as s:
        s.sendall(upload_head(module, len(begin) + 200 * len(piece) + len(end)) + begin)
        for _ in range(200):
            s.sendall(piece)
            digest.update(piece)
        if SLOW == 1:  # AddressSanitizer keeps what was freed for a while
            assert rss_kb(server.program.pid) - before < 20_000
        assert sum(p.stat().st_size for p in stored_files(server)) > 100 << 20
        s.sendall(end)
        answer = http.client.HTTPResponse(s)
        answer.begin()
        made = json.loads(answer.read())
    assert answer.status == 201 and made["hashes"]["sha256"] == digest.hexdigest() and made["size"] == 200 << 20
    assert [p.name for p in stored_files(server)] == [digest.hexdigest()]


def test_an_upload_that_breaks_off_leaves_nothing(make_server):
    server = make_server()
    module = new_module(server)
    begin, _ = frame()
    with connect(server) as s:
        s.sendall(upload_head(module, 5 << 20) + begin + os.urandom(2 << 20))
        wait_until(lambda: stored_files(server), 10, "the file to be begun")
    wait_until(lambda: not stored_files(server), 10, "the file to be gone")
    assert server.expect(200, "GET", f"/rest/v1/softwaremodules/{module}/artifacts") == []


def test_a_stranger_s_upload_is_never_written(make_server):
    server = make_server()
    module = new_module(server)
    begin, end = frame()
    content = os.urandom(4 << 20)
    with connect(server) as s:
        s.sendall(upload_head(module, len(begin) + len(content) + len(end), b"") + begin + content[:1 << 20])
        assert is_served(server) and not stored_files(server)
        s.sendall(content[1 << 20:] + end)
        assert s.recv(65536).startswith(b"HTTP/1.1 401")
    assert not stored_files(server)


def test_an_upload_in_chunks_and_one_beyond_the_limit(make_server):
    server = make_server()
    module = new_module(server)
    begin, end = frame()
    content = os.urandom(300_000)
    body = begin + content + end
    chunks = b"".join(f"{len(body[i:i + 50_000]):x}\r\n".encode() + body[i:i + 50_000] + b"\r\n"
                      for i in range(0, len(body), 50_000)) + b"0\r\n\r\n"
    head = upload_head(module, 1).replace(b"Content-Length: 1", b"Transfer-Encoding: chunked")
    with connect(server) as s:
        s.sendall(head + chunks)
        answer = http.client.HTTPResponse(s)
        answer.begin()
        assert answer.status == 201
        assert json.loads(answer.read())["hashes"]["md5"] == hashlib.md5(content).hexdigest()
    with connect(server) as s:
        s.sendall(upload_head(module, 2 << 30))
        assert s.recv(65536).startswith(b"HTTP/1.1 413")
