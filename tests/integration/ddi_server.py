# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""An update server's device side (DDI) that misbehaves on request and remembers everything it was told."""
import hashlib
import http.server
import json
import re
import threading

TENANT = "DEFAULT"


class DdiServer:
    """`offer()` puts a deployment up. `quirk`, if set, is called with each request first and may answer
    it by itself (and then returns True); tests use it for everything a server shouldn't do."""

    def __init__(self, device, poll="00:00:01", token=None, port=0, context=None):
        self.device, self.poll, self.token = device, poll, token
        self.base = f"/{TENANT}/controller/v1/{device}"
        self.lock = threading.RLock()
        self.offered = None     # (action, version, file name, bytes promised, bytes served)
        self.options = {}
        self.canceled = None
        self.wants_attributes = True
        self.feedback, self.cancel_feedback, self.attributes, self.ranges, self.polls = [], [], [], [], 0
        self.quirk = None
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                server.handle(self)

            do_POST = do_PUT = do_GET

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.daemon_threads = True
        self.scheme = "http"
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
            self.scheme = "https"
        self.port = self.http.server_address[1]
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    # ---- what tests do

    def offer(self, action, version, package, served=None, filename=None, **options):
        with self.lock:
            self.options = {"download": "forced", "update": "forced", "hashes": ("sha256", "sha1", "md5"), **options}
            self.canceled = None
            self.offered = (str(action), version, filename or f"app-{version}.zip", package,
                            package if served is None else served)

    def closed(self, action):
        """(finished, details) of the closing feedback of an action, None until it came."""
        with self.lock:
            for a, status in self.feedback:
                if a == str(action) and status["execution"] == "closed":
                    return status["result"]["finished"], " ".join(status["details"])
        return None

    def executions(self, action):
        with self.lock:
            return [status["execution"] for a, status in self.feedback if a == str(action)]

    # ---- requests

    def handle(self, h):
        length = int(h.headers.get("Content-Length") or 0)
        h.body = h.rfile.read(length) if length else b""
        with self.lock:
            quirk = self.quirk
        try:
            if not (quirk and quirk(h)):
                self.answer(h)
        except (BrokenPipeError, ConnectionResetError):
            h.close_connection = True

    def answer(self, h):
        if self.token and h.headers.get("Authorization") != self.token:
            return self.send(h, 401)
        path = h.path.split("?")[0]
        with self.lock:
            if path == self.base:
                return self.send_json(h, self.poll_document())
            if path == self.base + "/configData":
                self.attributes.append(json.loads(h.body))
                self.wants_attributes = False
                return self.send(h, 200)
            match = re.fullmatch(re.escape(self.base) + r"/(deploymentBase|cancelAction)/([^/]+)(/feedback)?", path)
            if match and match.group(3):
                return self.take_feedback(h, match.group(1), match.group(2))
            if match and match.group(1) == "deploymentBase" and self.offered and self.offered[0] == match.group(2):
                return self.send_json(h, self.deployment_document())
            if match and match.group(1) == "cancelAction" and self.canceled == match.group(2):
                return self.send_json(h, {"id": self.canceled, "cancelAction": {"stopId": self.canceled}})
            served = self.offered[4] if self.offered and path.endswith("/" + self.offered[2]) else None
        return self.send(h, 404) if served is None else self.send_artifact(h, served)

    def href(self, path):
        return {"href": self.url + self.base + path}

    def poll_document(self):
        self.polls += 1
        links = {}
        if self.canceled:
            links["cancelAction"] = self.href(f"/cancelAction/{self.canceled}")
        elif self.offered:
            links["deploymentBase"] = self.href(f"/deploymentBase/{self.offered[0]}?c=-2129030598")
        if self.wants_attributes:
            links["configData"] = self.href("/configData")
        return {"config": {"polling": {"sleep": self.poll}}, **({"_links": links} if links else {})}

    def deployment_document(self):
        action, version, filename, promised, _ = self.offered
        hashes = {kind: hashlib.new(kind, promised).hexdigest() for kind in self.options["hashes"]}
        link = self.href(f"/softwaremodules/4/artifacts/{filename}")
        deployment = {"download": self.options["download"], "update": self.options["update"], "chunks": [{
            "part": "bApp", "version": version, "name": "car",
            "artifacts": [{"filename": filename, "hashes": hashes, "size": len(promised),
                           "_links": {"download-http": link, "md5sum-http": link}}]}]}
        if "window" in self.options:
            deployment["maintenanceWindow"] = self.options["window"]
        return {"id": action, "deployment": deployment}

    def take_feedback(self, h, kind, action):
        status = json.loads(h.body)["status"]
        if kind == "cancelAction":
            self.cancel_feedback.append((action, status))
            if status["execution"] == "closed":
                self.canceled = self.offered = None
            if status["execution"] == "rejected":
                self.canceled = None
        else:
            self.feedback.append((action, status))
            if status["execution"] == "closed" and self.offered and self.offered[0] == action:
                self.offered = None
                self.wants_attributes = True
        self.send(h, 200)

    def send_artifact(self, h, data):
        etag = f'"{hashlib.sha1(data).hexdigest()}"'
        wanted = h.headers.get("Range")
        with self.lock:
            self.ranges.append(wanted)
        start = 0
        if wanted and h.headers.get("If-Range", etag) == etag:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted).group(1))
        if start >= len(data) > 0:
            return self.send(h, 416)
        extra = {"ETag": etag, "Accept-Ranges": "bytes"}
        if start:
            extra["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send(h, 206 if start else 200, data[start:], "application/octet-stream", extra)

    def send_json(self, h, document):
        self.send(h, 200, json.dumps(document).encode(), "application/hal+json;charset=UTF-8")

    def send(self, h, status, body=b"", kind=None, extra=()):
        h.send_response(status)
        h.send_header("Content-Length", str(len(body)))
        if kind:
            h.send_header("Content-Type", kind)
        for name, value in dict(extra).items():
            h.send_header(name, value)
        h.end_headers()
        h.wfile.write(body)
