# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""A small Management API that records calls: what a pipeline sends is checked against a server whose timing
and faults a test decides (a rollout that stays `creating`, an answer that never comes, a 503)."""
import base64
import collections
import email.parser
import hashlib
import http.server
import json
import re
import threading
import urllib.parse


class Recorder:
    def __init__(self, password="secret", cars=("car-1", "car-2")):
        self.lock = threading.RLock()
        self.calls = []  # (method, path with query, body)
        self.modules, self.sets, self.rollouts = [], [], []
        self.artifacts = collections.defaultdict(list)
        self.assigned = collections.defaultdict(set)
        self.cars = list(cars)
        self.polls_until_ready = 3
        self.wait_for_approval = False
        self.started_while = []  # the states in which a start came
        self.fail = {}  # "METHOD /path-prefix" -> list of statuses, used up one by one
        self.authorization = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def seen(self, method, pattern):
        with self.lock:
            return [c for c in self.calls if c[0] == method and re.search(pattern, c[1])]

    # ---- answers: (status, JSON or None)

    def answer(self, method, target, body, content_type):
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        for key, statuses in self.fail.items():
            wanted, prefix = key.split(" ")
            if statuses and wanted == method and path.startswith(prefix):
                return statuses.pop(0), {"message": "as the test wants"}
        for wanted, pattern, function in self.routes:
            match = re.fullmatch(pattern, path)
            if match and wanted == method:
                return function(self, query, body, content_type, *map(int, match.groups()))
        return 404, {"message": f"no route {method} {path}"}

    def create(self, rows, body):
        made = []
        for entry in body:
            if any((r["name"], r["version"], r["type"]) == (entry["name"], entry["version"], entry["type"]) for r in rows):
                return 409, {"errorCode": "hawkbit.server.error.repo.entityAlreadyExists", "message": "exists"}
            made.append({**entry, "id": 100 * (1 if rows is self.modules else 2) + len(rows) + 1})
            rows.append(made[-1])
        return 201, made

    def listing(self, rows, query):
        name = re.search(r"name=='([^']*)'", query.get("q", ""))
        version = re.search(r"version=='([^']*)'", query.get("q", ""))
        found = [r for r in rows if (not name or r["name"] == name[1]) and (not version or r["version"] == version[1])]
        return 200, {"content": found, "total": len(found), "size": len(found)}

    def upload(self, query, body, content_type, module):
        message = email.parser.BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
        part = message.get_payload()[0]
        data, name = part.get_payload(decode=True), part.get_filename()
        digest = hashlib.sha256(data).hexdigest()
        if digest != query["sha256sum"]:
            return 400, {"message": "checksum"}
        if any(a["providedFilename"] == name for a in self.artifacts[module]):
            return 409, {"message": "exists"}
        self.artifacts[module].append({"id": 1, "providedFilename": name, "size": len(data), "data": data,
                                       "hashes": {"sha256": digest}})
        return 201, {"id": 1}

    def list_artifacts(self, query, body, content_type, module):
        return 200, [{k: v for k, v in a.items() if k != "data"} for a in self.artifacts[module]]

    def targets(self, query, body, content_type):
        start = int(query.get("offset", 0))
        page = self.cars[start:start + int(query.get("limit", 50))]
        return 200, {"content": [{"controllerId": c} for c in page], "total": len(self.cars), "size": len(page)}

    def create_rollout(self, query, body, content_type):
        if any(r["name"] == body["name"] for r in self.rollouts):
            return 409, {"message": "exists"}
        self.rollouts.append({**body, "id": len(self.rollouts) + 1, "status": "creating", "polls": 0,
                              "totalTargets": len(self.cars),
                              "totalTargetsPerStatus": {"running": len(self.cars), "finished": 0, "error": 0}})
        return 201, self.rollouts[-1]

    def get_rollout(self, query, body, content_type, rollout):
        row = self.rollouts[rollout - 1]
        row["polls"] += 1
        if row["status"] == "creating" and row["polls"] > self.polls_until_ready:
            row["status"] = "waiting_for_approval" if self.wait_for_approval else "ready"
        elif row["status"] == "starting":
            row["status"] = "running"
        return 200, row

    def start_rollout(self, query, body, content_type, rollout):
        row = self.rollouts[rollout - 1]
        self.started_while.append(row["status"])
        if row["status"] != "ready":
            return 400, {"errorCode": "hawkbit.server.error.rollout.illegalState", "message": "not ready"}
        row["status"] = "starting"
        return 204, None

    def assign(self, query, body, content_type, distribution_set):
        before = len(self.assigned[distribution_set])
        self.assigned[distribution_set] |= {entry["id"] for entry in body}
        fresh = len(self.assigned[distribution_set]) - before
        return 200, {"assigned": fresh, "alreadyAssigned": len(body) - fresh, "total": len(body)}

    def totals(self, rows):
        return 200, {"content": [], "total": len(rows), "size": 0}

    routes = [
        ("POST", r"/rest/v1/softwaremodules", lambda s, q, b, c: s.create(s.modules, b)),
        ("GET", r"/rest/v1/softwaremodules", lambda s, q, b, c: s.listing(s.modules, q)),
        ("POST", r"/rest/v1/softwaremodules/(\d+)/artifacts", upload),
        ("GET", r"/rest/v1/softwaremodules/(\d+)/artifacts", list_artifacts),
        ("POST", r"/rest/v1/distributionsets", lambda s, q, b, c: s.create(s.sets, b)),
        ("GET", r"/rest/v1/distributionsets", lambda s, q, b, c: s.listing(s.sets, q)),
        ("POST", r"/rest/v1/distributionsets/(\d+)/assignedTargets", assign),
        ("GET", r"/rest/v1/distributionsets/(\d+)/assignedTargets", lambda s, q, b, c, i: s.totals(s.assigned[i])),
        ("GET", r"/rest/v1/distributionsets/(\d+)/installedTargets", lambda s, q, b, c, i: s.totals([])),
        ("GET", r"/rest/v1/targets", targets),
        ("POST", r"/rest/v1/rollouts", create_rollout),
        ("GET", r"/rest/v1/rollouts", lambda s, q, b, c: s.listing(s.rollouts, q)),
        ("GET", r"/rest/v1/rollouts/(\d+)", get_rollout),
        ("POST", r"/rest/v1/rollouts/(\d+)/start", start_rollout),
    ]

    def _handler(recorder):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                kind = self.headers.get("Content-Type", "")
                body = json.loads(raw) if kind.startswith("application/json") else raw
                with recorder.lock:
                    recorder.calls.append((self.command, self.path, body))
                    if self.headers.get("Authorization") != recorder.authorization:
                        status, answer = 401, {"status": 401, "error": "Unauthorized"}
                    else:
                        status, answer = recorder.answer(self.command, self.path, body, kind)
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        return Handler
