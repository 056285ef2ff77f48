# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""AWSIoTPythonSDK 1.6: AWSIoTMQTTClient with its own reconnect and offline queue."""
import threading

from AWSIoTPythonSDK.exception.AWSIoTExceptions import publishError, publishQueueDisabledException, publishTimeoutException
from AWSIoTPythonSDK.MQTTLib import AWSIoTMQTTClient

from client import Arguments, exercise

arguments = Arguments()
lost, back = threading.Event(), threading.Event()
back.set()


def on_offline():
    back.clear()
    lost.set()


def publish(payload):
    # Without the offline queue the SDK says whether a message was acknowledged; the same message is
    # offered again until it was, as an application has to.
    while True:
        assert back.wait(60), "the SDK did not reconnect"
        try:
            if client.publish(arguments.telemetry_topic, payload, 1):
                return
        except (publishError, publishTimeoutException, publishQueueDisabledException):
            continue


on_hint, run = exercise(arguments, publish, lost)
client = AWSIoTMQTTClient(arguments.name)
client.configureEndpoint(arguments.host, arguments.port)
client.configureCredentials(arguments.ca, arguments.key, arguments.certificate)
client.configureAutoReconnectBackoffTime(1, 4, 20)
client.configureOfflinePublishQueueing(0)
client.configureConnectDisconnectTimeout(10)
client.configureMQTTOperationTimeout(5)
client.onOffline = on_offline
client.onOnline = back.set
assert client.connect(keepAliveIntervalSecond=30)
assert client.subscribe(arguments.poll_topic, 1, lambda *_: on_hint())
print("subscribed", flush=True)
run()
client.disconnect()
