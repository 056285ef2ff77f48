# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""A small MQTT 3.1.1 client on a blocking socket, for tests that must see every packet.

It knows exactly what was acknowledged, sends what a library would refuse to send, and never reconnects
behind one's back. Packets that nobody asked for yet (messages) wait in `messages`.
"""
import socket
import struct

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13


class Closed(ConnectionError):
    """The broker ended the connection."""


def packet(first_byte, body):
    length, encoded = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([first_byte]) + bytes(encoded) + body


def text(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


class Mqtt:
    def __init__(self, port, context, client_id, clean=True, keepalive=60, timeout=10, username=None):
        raw = socket.create_connection(("127.0.0.1", port), timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(raw, server_hostname="localhost") if context else raw
        except BaseException:
            raw.close()
            raise
        self.buffer, self.messages, self.acknowledged, self.next_id = bytearray(), [], set(), 0
        flags = (2 if clean else 0) | (0x80 if username else 0)
        body = text("MQTT") + bytes([4, flags]) + struct.pack("!H", keepalive) + text(client_id)
        try:
            self._send(packet(0x10, body + (text(username) if username else b"")))
            kind, answer = self._next()
            if kind != CONNACK or answer[1] != 0:
                raise Closed(f"connection refused with code {answer[1] if kind == CONNACK else kind}")
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def disconnect(self):
        self._send(packet(0xE0, b""))
        self.close()

    # ---- what a client does

    def send_publish(self, topic, payload, qos=1):
        """Sends without waiting; the packet's id (0 for QoS 0)."""
        payload = payload.encode() if isinstance(payload, str) else payload
        identifier = 0
        if qos:
            self.next_id = self.next_id % 65535 + 1
            identifier = self.next_id
        self._send(packet(0x30 | qos << 1, text(topic) + (struct.pack("!H", identifier) if qos else b"") + payload))
        return identifier

    def publish(self, topic, payload):
        """QoS 1; returns when the broker has acknowledged it."""
        self.wait_acknowledged(self.send_publish(topic, payload))

    def wait_acknowledged(self, identifier):
        while identifier not in self.acknowledged:
            self._take(*self._next())
        self.acknowledged.discard(identifier)

    def subscribe(self, topic, qos=1):
        """The granted QoS; 0x80 is the broker's refusal."""
        self._send(packet(0x82, struct.pack("!H", 1) + text(topic) + bytes([qos])))
        while True:
            kind, body = self._next()
            if kind == SUBACK:
                return body[2]
            self._take(kind, body)

    def receive(self):
        """The next message as (topic, payload)."""
        while not self.messages:
            self._take(*self._next())
        return self.messages.pop(0)

    def ping(self):
        self._send(packet(0xC0, b""))
        while True:
            kind, body = self._next()
            if kind == PINGRESP:
                return
            self._take(kind, body)

    # ---- packets

    def _send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def _take(self, kind, body):
        if kind == PUBACK:
            self.acknowledged.add(struct.unpack("!H", body[:2])[0])

    def _fill(self, count):
        while len(self.buffer) < count:
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise
            except OSError as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed("the broker closed the connection")
            self.buffer += data

    def _next(self):
        """One packet as (kind, body); messages are put aside and acknowledged on the way."""
        while True:
            self._fill(2)
            length, at = 0, 1
            while True:
                self._fill(at + 1)
                length |= (self.buffer[at] & 0x7F) << 7 * (at - 1)
                at += 1
                if not self.buffer[at - 1] & 0x80:
                    break
            self._fill(at + length)
            first, body = self.buffer[0], bytes(self.buffer[at:at + length])
            del self.buffer[:at + length]
            if first >> 4 != PUBLISH:
                return first >> 4, body
            self._message(first, body)
            return PUBLISH, b""

    def _message(self, first, body):
        size = struct.unpack("!H", body[:2])[0]
        topic, rest = body[2:2 + size].decode(), body[2 + size:]
        if first & 6:
            self._send(packet(0x40, rest[:2]))
            rest = rest[2:]
        self.messages.append((topic, rest))
