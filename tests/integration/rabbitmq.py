# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Debian's RabbitMQ for tests, with a node name, ports and folders of its own, and a gateway that speaks the
Device Management Federation through it (python3-pika)."""
import glob
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import pika

from conftest import SLOW, accepts, free_ports, wait_until

USER, PASSWORD = "driveline", "a secret"


def server_program():
    """The broker's own script: Debian's wrapper before it insists on root or the user rabbitmq."""
    found = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    assert found, "RabbitMQ is missing: apt-get install rabbitmq-server"
    return found[-1]


class Broker:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tls_port, self.dist_port, self.epmd_port = free_ports(4)
        self.log = self.folder / "rabbitmq.log"
        self.make_certificates()
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "env.conf").write_text("")
        (self.folder / "rabbitmq.conf").write_text("\n".join([
            f"listeners.tcp.1 = 127.0.0.1:{self.port}", f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            f"default_user = {USER}", f"default_pass = {PASSWORD}",
            f"ssl_options.cacertfile = {self.folder}/ca.pem", f"ssl_options.certfile = {self.folder}/server.pem",
            f"ssl_options.keyfile = {self.folder}/server.key", "ssl_options.verify = verify_none",
            "collect_statistics_interval = 60000", ""]))
        self.epmd = self.server = None

    def make_certificates(self):
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                "-keyout", "server.key", "-out", "server.csr")
        (self.folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
                "-extfile", "names", "-out", "server.pem")

    def environment(self):
        f = self.folder
        return {**os.environ, "HOME": str(f), "ERL_EPMD_PORT": str(self.epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODENAME": f"dmf{self.port}@localhost", "RABBITMQ_DIST_PORT": str(self.dist_port),
                "RABBITMQ_MNESIA_BASE": f"{f}/data", "RABBITMQ_LOG_BASE": f"{f}/log", "RABBITMQ_LOGS": "-",
                "RABBITMQ_ENABLED_PLUGINS_FILE": f"{f}/plugins", "RABBITMQ_CONFIG_FILE": f"{f}/rabbitmq.conf",
                "RABBITMQ_CONF_ENV_FILE": f"{f}/env.conf", "RABBITMQ_PID_FILE": f"{f}/pid",
                "RABBITMQ_SERVER_ERL_ARGS": "+P 65536 +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"}

    def start(self):
        self.start_server()
        return self.wait()

    def start_server(self):
        out = self.log.open("ab")
        if not self.epmd:
            self.epmd = subprocess.Popen(["epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"],
                                         stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            wait_until(lambda: accepts(self.epmd_port), 20, "epmd")
        # a session of its own: the script and the virtual machine under it end together
        self.server = subprocess.Popen([server_program()], env=self.environment(), stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=out, start_new_session=True)
        out.close()

    def wait(self):
        def ready():
            assert self.server.poll() is None, self.log.read_text(errors="replace")[-3000:]
            return accepts(self.port) and accepts(self.tls_port)
        wait_until(ready, 90, "RabbitMQ")
        return self

    def kill(self):
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait(20)
        wait_until(lambda: not accepts(self.port), 20, "the end of RabbitMQ")

    def stop(self):
        if self.server and self.server.poll() is None:
            self.kill()
        if self.epmd:
            self.epmd.kill()
            self.epmd.wait(20)

    def connect(self):
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.port, "/", pika.PlainCredentials(USER, PASSWORD), heartbeat=0,
            blocked_connection_timeout=20 * SLOW))

    def url(self, tls=False):
        return f"amqps://{USER}@localhost:{self.tls_port}/" if tls else f"amqp://{USER}@127.0.0.1:{self.port}/"


class Got:
    """A message that came, as the tests look at it."""

    def __init__(self, properties, body):
        self.headers = dict(properties.headers or {})
        self.properties = properties
        self.raw = body
        self.topic = self.headers.get("topic") or self.headers.get("type")
        self.thing = self.headers.get("thingId")

    @property
    def body(self):
        return json.loads(self.raw) if self.raw else None

    def __repr__(self):
        return f"{self.topic}({self.thing}, {self.raw[:200]!r})"


class Gateway:
    """One reply exchange with its queue, and everything that a gateway may say."""

    def __init__(self, broker, name, tenant="DEFAULT"):
        self.broker, self.name, self.tenant = broker, name, tenant
        self.reconnect()

    def reconnect(self):
        """At first, and after the broker's end; what is declared stays."""
        self.connection = self.broker.connect()
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.channel.exchange_declare(self.name, "fanout", durable=True)
        self.channel.queue_declare(self.name, durable=True)
        self.channel.queue_bind(self.name, self.name)

    def close(self):
        if self.connection.is_open:
            self.connection.close()

    def send(self, kind, thing=None, body=None, topic=None, **more):
        headers = {"type": kind, "tenant": self.tenant, "thingId": thing, "topic": topic, **more.pop("headers", {})}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        properties = pika.BasicProperties(
            headers={k: v for k, v in headers.items() if v is not None}, delivery_mode=2,
            **{"content_type": "application/json", "reply_to": self.name, **more})
        self.channel.basic_publish("dmf.exchange", "", data, properties)

    def create(self, thing, body=None, **more):
        self.send("THING_CREATED", thing, body, **more)

    def status(self, action, status, *texts, **more):
        body = {"actionId": action, "actionStatus": status, "message": list(texts)}
        for key in ("timestamp", "code", "softwareModuleId"):
            if key in more:
                body[key] = more.pop(key)
        self.send("EVENT", None, body, "UPDATE_ACTION_STATUS", **more)

    def get(self, queue=None):
        method, properties, body = self.channel.basic_get(queue or self.name, auto_ack=True)
        return Got(properties, body) if method else None

    def expect(self, topic, thing=None, timeout=20):
        """The next message, which must be this one."""
        got = wait_until(self.get, timeout, f"{topic} for {thing} at {self.name}")
        assert got.topic == topic and (thing is None or got.thing == thing), (topic, thing, got)
        assert got.headers["tenant"] == self.tenant
        return got

    def collect(self, count, timeout=30):
        """So many messages, in any order."""
        got = []
        deadline = time.monotonic() + timeout * SLOW
        for properties, body in self.consume(deadline):
            got.append(Got(properties, body))
            if len(got) == count:
                break
        assert len(got) == count, f"{len(got)} messages of {count}"
        return got

    def consume(self, deadline):
        try:
            for method, properties, body in self.channel.consume(self.name, auto_ack=True, inactivity_timeout=0.2):
                if method:
                    yield properties, body
                elif time.monotonic() > deadline:
                    return
        finally:
            self.channel.cancel()

    def settle(self):
        """Waits until the server has taken everything that was sent before: it answers a ping in turn."""
        mark = f"mark-{time.monotonic_ns()}"
        self.send("PING", correlation_id=mark)
        got = []

        def answered():
            message = self.get()
            if message:
                got.append(message)
            return message and message.topic == "PING_RESPONSE" and message.properties.correlation_id == mark
        wait_until(answered, 20, "the answer to a ping")
        return got[:-1]

    def nothing_else(self):
        """Nothing came but what was expected."""
        assert self.settle() == []
