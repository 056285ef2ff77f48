# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""awsiotsdk 1.31 over MQTT 5, with its own reconnect."""
import threading

from awscrt import mqtt5
from awsiot import mqtt5_client_builder

from client import Arguments, exercise

arguments = Arguments()
lost, connected = threading.Event(), threading.Event()
poll = mqtt5.SubscribePacket([mqtt5.Subscription(arguments.poll_topic, mqtt5.QoS.AT_LEAST_ONCE)])


def publish(payload):
    answer = client.publish(mqtt5.PublishPacket(
        topic=arguments.telemetry_topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)).result(60)
    # The store follows the stream, so the broker itself has no subscriber to telemetry: that is said too.
    assert answer.puback.reason_code in (
        mqtt5.PubackReasonCode.SUCCESS, mqtt5.PubackReasonCode.NO_MATCHING_SUBSCRIBERS), answer.puback


def on_connected(data):
    if lost.is_set() and not data.negotiated_settings.rejoined_session:
        client.subscribe(poll)
    connected.set()


on_hint, run = exercise(arguments, publish, lost)
client = mqtt5_client_builder.mtls_from_path(
    endpoint=arguments.host, port=arguments.port, ca_filepath=arguments.ca, cert_filepath=arguments.certificate,
    pri_key_filepath=arguments.key, client_id=arguments.name, keep_alive_interval_sec=30,
    min_reconnect_delay_ms=500, max_reconnect_delay_ms=4000,
    on_publish_received=lambda _: on_hint(), on_lifecycle_connection_success=on_connected,
    on_lifecycle_disconnection=lambda _: lost.set())
client.start()
assert connected.wait(20), "no connection"
client.subscribe(poll).result(20)
print("subscribed", flush=True)
run()
client.stop()
