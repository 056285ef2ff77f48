#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Device SDKs that know nothing of Driveline, unchanged, against our broker with a thing's files.

Each client connects, subscribes to its poll topic, publishes telemetry, hears a hint, loses the broker
(kill -9), comes back by itself, publishes again and hears a second hint. What it published must be in
the store, each message once.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
import conftest  # noqa: E402

CLIENTS = ("old_sdk", "new_sdk_mqtt3", "new_sdk_mqtt5")
MESSAGES = 5  # before and after the loss of the broker


def publish_hint(cloud, name):
    subprocess.run(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(cloud.mqtt_port), "-i", "driveline-cloud", "-q", "1",
         "--cafile", cloud.data / "ca/root-CA.crt", "--cert", cloud.data / "ca/driveline-cloud.crt",
         "--key", cloud.data / "ca/driveline-cloud.key", "-t", f"device/{name}/poll", "-m", "{}"],
        check=True, timeout=20)


def exercise(cloud, python, client):
    name = "SDK-" + client.upper().replace("_", "-")
    files = cloud.create_thing(name)
    program = conftest.Program(
        [python, HERE / f"{client}.py", "localhost", cloud.mqtt_port, files, name, MESSAGES],
        cloud.folder / f"{client}.log")
    try:
        program.wait_for_text("published 1", 30)
        program.wait_for_text("subscribed", 10)
        # The cloud's own client id may be taken for a moment by the update server's hint.
        publish_hint(cloud, name)
        program.wait_for_text("heard 1", 20)

        broker = cloud.children()["mosquitto"]
        conftest.os.kill(broker, conftest.signal.SIGKILL)
        conftest.wait_until(lambda: cloud.children().get("mosquitto", broker) != broker, 20, "a new broker")
        conftest.wait_until(lambda: conftest.accepts(cloud.mqtt_port), 20, "the new broker to listen")
        program.wait_for_text("published 2", 60)

        def heard():
            publish_hint(cloud, name)
            return "heard 2" in program.text()
        conftest.wait_until(heard, 60, "the subscription to be back", every=1)
        assert program.wait(30) == 0, program.text()
        wanted = list(range(1, 2 * MESSAGES + 1))
        conftest.wait_until(lambda: len(cloud.sequences("Battery", name)) >= len(wanted), 20, "all rows in the store")
        assert cloud.sequences("Battery", name) == wanted
    except BaseException:
        print(program.text())
        raise
    finally:
        program.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="a Python that has the SDKs")
    parser.add_argument("client", nargs="*", default=CLIENTS, help=f"of {', '.join(CLIENTS)}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="driveline-interop.") as folder:
        cloud = conftest.Cloud(pathlib.Path(folder)).start()
        try:
            for client in arguments.client:
                exercise(cloud, arguments.python, client)
                print(f"{client:16} connects, publishes, subscribes and reconnects", flush=True)
        except BaseException:
            print(json.dumps({k: v[-2000:] for k, v in cloud.logs().items()}, indent=1))
            raise
        finally:
            cloud.stop()
    print(f"{len(arguments.client)} passed, 0 failed, 0 skipped")


if __name__ == "__main__":
    main()
