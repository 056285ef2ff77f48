# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""What the SDK clients share: arguments, a message, the order of the exercise."""
import datetime
import json
import pathlib
import sys
import threading


class Arguments:
    def __init__(self):
        self.host, port, files, self.name, messages = sys.argv[1:6]
        self.port, self.n_messages = int(port), int(messages)
        files = pathlib.Path(files)
        self.ca = str(files / "root-CA.crt")
        self.certificate = str(files / f"{self.name}.cert.pem")
        self.key = str(files / f"{self.name}.private.key")
        self.telemetry_topic = f"device/{self.name}/telemetry"
        self.poll_topic = f"device/{self.name}/poll"


def message(name, sequence):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({
        "DeviceID": name, "Timestamp": now, "Sequence": sequence, "SoftwareVersion": "1.0.0",
        "Battery": {"StateOfCharge": 80.0, "BatteryTemperature": 21.5, "EnergyAdded": 0.5}})


def exercise(arguments, publish, lost):
    """`publish(payload)` returns when acknowledged; `lost` is set by the SDK's callback on a lost
    connection. Returns a function for the SDK to call with each hint that it hears."""
    heard = [threading.Event(), threading.Event()]

    def on_hint():
        n = 1 if lost.is_set() else 0
        if not heard[n].is_set():
            print(f"heard {n + 1}", flush=True)
            heard[n].set()

    def run():
        for sequence in range(1, arguments.n_messages + 1):
            publish(message(arguments.name, sequence))
        print("published 1", flush=True)
        assert heard[0].wait(60), "no hint came"
        assert lost.wait(60), "the connection was never lost"
        for sequence in range(arguments.n_messages + 1, 2 * arguments.n_messages + 1):
            publish(message(arguments.name, sequence))
        print("published 2", flush=True)
        assert heard[1].wait(60), "no hint came after the reconnect"
    return on_hint, run
