# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""awsiotsdk 1.31 over MQTT 3.1.1: a persistent session and the SDK's own reconnect."""
import threading

from awscrt import mqtt
from awsiot import mqtt_connection_builder

from client import Arguments, exercise

arguments = Arguments()
lost = threading.Event()


def publish(payload):
    future, _ = connection.publish(arguments.telemetry_topic, payload, mqtt.QoS.AT_LEAST_ONCE)
    future.result(60)


def on_resumed(connection, return_code, session_present, **_):
    if not session_present:
        connection.resubscribe_existing_topics()


on_hint, run = exercise(arguments, publish, lost)
connection = mqtt_connection_builder.mtls_from_path(
    endpoint=arguments.host, port=arguments.port, ca_filepath=arguments.ca, cert_filepath=arguments.certificate,
    pri_key_filepath=arguments.key, client_id=arguments.name, clean_session=False, keep_alive_secs=30,
    reconnect_min_timeout_secs=1, reconnect_max_timeout_secs=4,
    on_connection_interrupted=lambda **_: lost.set(), on_connection_resumed=on_resumed)
connection.connect().result(20)
connection.subscribe(arguments.poll_topic, mqtt.QoS.AT_LEAST_ONCE, lambda **_: on_hint())[0].result(20)
print("subscribed", flush=True)
run()
connection.disconnect().result(20)
