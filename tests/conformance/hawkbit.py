# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""A client of hawkBit's interfaces that hides nothing: it knows a base URL and a user, no server in particular.

`Server` makes requests. `World` is what one test made on it: entities with names of their own, which are
taken away when the test ends. `Device` speaks DDI as one controller. Only the standard library is used.
"""
import base64
import contextlib
import http.client
import itertools
import json
import os
import threading
import time
import urllib.parse

# Sanitized builds and slow machines take longer: every deadline is multiplied by this.
SLOW = float(os.environ.get("DRIVELINE_SLOW", "1"))
CODE = "hawkbit.server.error."
_tick = threading.Event()


def wait_until(condition, what, timeout=60):
    """The first true value of `condition()`; the timeout is for failing, so it is generous."""
    deadline = time.monotonic() + timeout * SLOW
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout * SLOW:g} s for {what}")
        _tick.wait(0.02)
    return value


def escape(text):
    return urllib.parse.quote(str(text), safe="-._~")


def path_of(href):
    """What of a link is sent in a request line."""
    parts = urllib.parse.urlsplit(href)
    return parts.path + (f"?{parts.query}" if parts.query else "")


# ---- CBOR (RFC 8949), as far as device interfaces go ----------------------------------------------------


def cbor_encode(value):
    def head(major, n):
        if n < 24:
            return bytes([major << 5 | n])
        size = next(s for s in (1, 2, 4, 8) if n < 1 << 8 * s)
        return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + n.to_bytes(size, "big")
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor_encode, value))
    return head(5, len(value)) + b"".join(cbor_encode(k) + cbor_encode(v) for k, v in value.items())


def cbor_decode(data):
    value, rest = _cbor_item(data)
    assert not rest, "bytes after the CBOR item"
    return value


def _cbor_item(data):
    major, info, data = data[0] >> 5, data[0] & 31, data[1:]
    n = info
    if 24 <= info <= 27:
        size = 1 << info - 24
        n, data = int.from_bytes(data[:size], "big"), data[size:]
    endless = info == 31
    if major == 0:
        return n, data
    if major == 1:
        return -1 - n, data
    if major in (2, 3):
        assert not endless
        raw = data[:n]
        return (raw if major == 2 else raw.decode()), data[n:]
    if major in (4, 5):
        items = []
        while data[0] != 0xff if endless else len(items) < n * (major - 3):
            item, data = _cbor_item(data)
            items.append(item)
        data = data[1:] if endless else data
        return (items if major == 4 else dict(zip(items[::2], items[1::2]))), data
    assert major == 7 and info in (20, 21, 22), f"simple value {info}"
    return {20: False, 21: True, 22: None}[info], data


# ---- requests -------------------------------------------------------------------------------------------


class Answer:
    def __init__(self, method, path, status, headers, body):
        self.method, self.path, self.status, self.headers, self.body = method, path, status, headers, body

    @property
    def type(self):
        """The media type without its parameters, or None."""
        value = self.headers.get("content-type")
        return value.split(";")[0].strip() if value else None

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    @property
    def code(self):
        """The error code without its common beginning, or None."""
        with contextlib.suppress(ValueError, AttributeError):
            return (self.json.get("errorCode") or "").removeprefix(CODE) or None
        return None

    def __repr__(self):
        return f"{self.method} {self.path}: {self.status} {self.headers.get('content-type')} {self.body[:600]!r}"


class Server:
    """A hawkBit at `base`. `watch(answer)` is called with every answer, if set."""

    def __init__(self, base, user, password, tenant, run):
        parts = urllib.parse.urlsplit(base)
        self.base, self.tenant, self.run = base.rstrip("/"), tenant, run
        self.prefix, self.netloc, self.is_tls = parts.path.rstrip("/"), parts.netloc, parts.scheme == "https"
        self.user, self.password = user, password
        self.watch = None
        self.numbers = itertools.count(1)
        self.connection = None

    def _connect(self):
        kind = http.client.HTTPSConnection if self.is_tls else http.client.HTTPConnection
        return kind(self.netloc, timeout=60 * SLOW)

    def raw(self, method, path, body=None, headers=None):
        """One request with exactly these headers (and Host, Content-Length); the connection is kept."""
        for is_last in (False, True):
            fresh = self.connection is None
            if fresh:
                self.connection = self._connect()
            try:
                self.connection.putrequest(method, self.prefix + path, skip_accept_encoding=True)
                for name, value in (headers or {}).items():
                    self.connection.putheader(name, value)
                if body is not None:
                    self.connection.putheader("Content-Length", str(len(body)))
                self.connection.endheaders(body)
                got = self.connection.getresponse()
                answer = Answer(method, path, got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
                if got.will_close:
                    self.close()
                break
            except (ConnectionError, http.client.BadStatusLine):
                # A kept connection may have been closed meanwhile; a fresh one that fails is a finding.
                self.close()
                if fresh or is_last:
                    raise
        if self.watch:
            self.watch(answer)
        return answer

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    @staticmethod
    def basic(user, password):
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

    def call(self, method, path, body=None, headers=None, credentials=None):
        """A Management request; `path` begins after /rest/v1, `body` is a document or bytes."""
        all_headers = self.basic(*(credentials or (self.user, self.password)))
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            all_headers["Content-Type"] = "application/json"
        elif method in ("POST", "PUT") and body is None:
            body, all_headers["Content-Type"] = b"", "application/json"
        all_headers.update(headers or {})
        return self.raw(method, "/rest/v1" + path, body, {k: v for k, v in all_headers.items() if v is not None})

    def expect(self, status, method, path, body=None, **more):
        answer = self.call(method, path, body, **more)
        assert answer.status == status, answer
        return answer.json

    def get(self, path, **more):
        return self.expect(200, "GET", path, **more)

    def refuse(self, status, code, method, path, body=None, **more):
        """The request fails with this status and hawkBit's error code."""
        answer = self.call(method, path, body, **more)
        assert (answer.status, answer.code) == (status, code), answer
        return answer.json


class Device:
    """One controller: polls and reports over DDI with its target token."""

    def __init__(self, server, controller_id, token):
        self.server, self.id = server, controller_id
        self.base = f"/{server.tenant}/controller/v1/{escape(controller_id)}"
        self.headers = {"Authorization": f"TargetToken {token}"}

    def call(self, method, path="", body=None, headers=None):
        all_headers = dict(self.headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if method in ("POST", "PUT"):
            all_headers["Content-Type"] = "application/json"
            body = body or b""
        all_headers.update(headers or {})
        return self.server.raw(method, self.base + path, body, {k: v for k, v in all_headers.items() if v is not None})

    def get(self, path="", **headers):
        answer = self.call("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        assert answer.status == 200, answer
        return answer.json

    def poll(self):
        return self.get()

    def links(self):
        return self.poll().get("_links", {})

    def follow(self, name):
        """The document behind a link of the poll."""
        href = self.links()[name]["href"]
        answer = self.server.raw("GET", path_of(href)[len(self.server.prefix):], None, self.headers)
        assert answer.status == 200, answer
        return answer.json

    def post(self, path, body, status=200):
        answer = self.call("POST", path, body)
        assert answer.status == status, answer
        return answer

    def report(self, action, execution="closed", finished="success", details=(), status=200, **more):
        return self.post(f"/deploymentBase/{action}/feedback", feedback(execution, finished, details, **more), status)

    def answer_cancel(self, action, execution="closed", finished="success", details=(), status=200, **more):
        return self.post(f"/cancelAction/{action}/feedback", feedback(execution, finished, details, **more), status)

    def confirm(self, action, word="confirmed", status=200, **more):
        return self.post(f"/confirmationBase/{action}/feedback", {"confirmation": word, **more}, status)

    def configure(self, data, mode=None, status=200):
        answer = self.call("PUT", "/configData", {"data": data, **({"mode": mode} if mode else {})})
        assert answer.status == status, answer
        return answer


def feedback(execution="closed", finished="success", details=(), **more):
    return {"status": {"execution": execution, "result": {"finished": finished}, "details": list(details), **more}}


# ---- what a test makes ----------------------------------------------------------------------------------


class World:
    """Makes entities with names that nothing else on the server has, and takes them away again."""

    # What refers to others goes first.
    ORDER = ("rollouts", "targetfilters", "targets", "distributionsets", "softwaremodules", "targettags", "distributionsettags",
             "targettypes", "distributionsettypes", "softwaremoduletypes", "webhooks", "tokens", "users")

    def __init__(self, server):
        self.server = server
        self.made = {kind: [] for kind in self.ORDER}
        self.settings = {}
        self.call, self.expect, self.get, self.refuse = server.call, server.expect, server.get, server.refuse

    def name(self, stem="x"):
        return f"{self.server.run}-{stem}-{next(self.server.numbers)}"

    def keep(self, kind, number):
        self.made[kind].append(number)
        return number

    def clean(self):
        for key, value in self.settings.items():
            self.call(*(("DELETE", f"/system/configs/{key}") if value is None else ("PUT", f"/system/configs/{key}", {"value": value})))
        for kind in self.ORDER:
            for number in reversed(self.made[kind]):
                self.call("DELETE", f"/{kind}/{escape(number)}")
            self.made[kind].clear()
        self.settings.clear()

    def configure(self, key, value):
        """A setting of the tenant, for this test only."""
        old = self.get(f"/system/configs/{key}")
        self.settings.setdefault(key, None if old["global"] else old["value"])
        self.expect(204, "PUT", f"/system/configs/{key}", {"value": value})

    def create(self, kind, **members):
        """One entity of a collection whose POST takes an array; the answer's document."""
        made = self.expect(201, "POST", f"/{kind}", [members])[0]
        self.keep(kind, made["controllerId"] if kind == "targets" else made["id"])
        return made

    def target(self, stem="dev", **members):
        return self.create("targets", **{"controllerId": self.name(stem), **members})

    def targets(self, n, stem="dev", **members):
        """n targets whose ids begin alike: (that beginning, the ids in their order)."""
        start = self.name(stem)
        ids = [f"{start}-{i:03}" for i in range(1, n + 1)]
        # One request each: the order within one POST is not promised.
        for controller_id in ids:
            self.create("targets", controllerId=controller_id, **members)
        return start, ids

    def device(self, stem="dev", poll=True, **members):
        made = self.target(stem, **members)
        device = self.as_device(made)
        if poll:
            device.poll()
        return device

    def as_device(self, target):
        return Device(self.server, target["controllerId"], target["securityToken"])

    def module(self, module_type="application", **members):
        return self.create("softwaremodules", **{"name": self.name("sm"), "version": "1.0", "type": module_type, **members})["id"]

    def upload(self, module, filename="fw.bin", content=b"0123456789", status=201, fields=None, query=""):
        mark = "----conformance"
        body = b""
        for name, value in (fields or {}).items():
            body += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        body += (f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
                 "Content-Type: application/octet-stream\r\n\r\n").encode() + content + f"\r\n--{mark}--\r\n".encode()
        answer = self.call("POST", f"/softwaremodules/{module}/artifacts{query}", body,
                           headers={"Content-Type": f"multipart/form-data; boundary={mark}"})
        assert answer.status == status, answer
        return answer.json if status == 201 else answer

    def ds(self, modules=None, set_type="app", **members):
        """A complete distribution set: its number."""
        modules = [self.module()] if modules is None else modules
        return self.create("distributionsets", **{"name": self.name("ds"), "version": "1.0", "type": set_type,
                                                  "modules": [{"id": m} for m in modules], **members})["id"]

    def ds_with_file(self, content=b"0123456789", filename="fw.bin"):
        """(set, module) with one artifact."""
        module = self.module()
        self.upload(module, filename, content)
        return self.ds([module]), module

    def assign(self, controller_id, ds, offline=False, **members):
        """The new action's number, or None if the target had the set already."""
        answer = self.expect(200, "POST", f"/targets/{escape(controller_id)}/assignedDS" + ("?offline=true" if offline else ""),
                             {"id": ds, **members})
        return answer["assignedActions"][0]["id"] if answer["assignedActions"] else None

    def deployed(self, stem="dev", ds=None, **members):
        """(device, action): a device that polled, and a set assigned to it."""
        device = self.device(stem)
        return device, self.assign(device.id, ds or self.ds(), **members)

    def action(self, device, action):
        return self.get(f"/targets/{escape(device.id)}/actions/{action}")

    def history(self, device, action):
        """Status entries, newest first."""
        return self.get(f"/targets/{escape(device.id)}/actions/{action}/status?limit=500")["content"]

    def target_of(self, device):
        return self.get(f"/targets/{escape(device.id)}")

    def cancel(self, device, action):
        self.expect(204, "DELETE", f"/targets/{escape(device.id)}/actions/{action}")

    def target_filter(self, query, **members):
        made = self.expect(201, "POST", "/targetfilters", {"name": self.name("tf"), "query": query, **members})
        self.keep("targetfilters", made["id"])
        return made

    def found(self, kind, query, **parameters):
        """The content of a list that `q` selects."""
        more = "".join(f"&{k}={escape(v)}" for k, v in parameters.items())
        return self.get(f"/{kind}?q={escape(query)}{more}")["content"]

    # ---- rollouts

    def rollout(self, query, ds=None, **members):
        made = self.expect(201, "POST", "/rollouts", {"name": self.name("ro"), "targetFilterQuery": query,
                                                      "distributionSetId": ds or self.ds(), **members})
        self.keep("rollouts", made["id"])
        return made["id"]

    def rollout_is(self, rollout, *statuses):
        """Waits for one of the statuses; the rollout's document."""
        def look():
            document = self.get(f"/rollouts/{rollout}")
            return document if document["status"] in statuses else None
        return wait_until(look, f"rollout {rollout} to be {' or '.join(statuses)}")

    def running(self, query, ds=None, **members):
        """A started rollout."""
        rollout = self.rollout(query, ds, **members)
        self.rollout_is(rollout, "ready")
        self.expect(204, "POST", f"/rollouts/{rollout}/start")
        self.rollout_is(rollout, "running")
        return rollout

    def groups(self, rollout, representation="full"):
        return self.get(f"/rollouts/{rollout}/deploygroups?limit=500&representation={representation}")["content"]

    def group_is(self, rollout, index, *statuses):
        return wait_until(lambda: self.groups(rollout)[index]["status"] in statuses,
                          f"group {index} of rollout {rollout} to be {' or '.join(statuses)}")

    def finish(self, controller_id, finished="success"):
        """Has the target's newest action reported as finished by its device."""
        device = self.as_device(self.get(f"/targets/{escape(controller_id)}"))
        href = device.links()["deploymentBase"]["href"]
        device.report(int(href.rsplit("/", 1)[1].split("?")[0]), "closed", finished)
