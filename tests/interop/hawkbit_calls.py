#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""What a deployment script does with hawkBit's Management API, as hawkBit's documents show it; nothing of it knows Driveline.

  hawkbit_calls.py --url http://127.0.0.1:8080 --user admin --password admin --name app --version 1.0.0 --file app.zip \\
                   [--target car-1 | --filter 'controllerId==car-*' --groups 3]

Makes a software module, uploads its artifact, makes a distribution set of it, and assigns it to one target or rolls it out over all
that a filter finds. Prints a JSON object with what it made. Only the standard library is used.
"""
import argparse
import base64
import json
import pathlib
import threading
import time
import urllib.request
import uuid


class Hawkbit:
    def __init__(self, url, user, password):
        self.url = url.rstrip("/") + "/rest/v1"
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def request(self, method, path, data=None, content_type="application/json"):
        headers = {"Authorization": self.authorization, "Accept": "application/hal+json"}
        if data is not None:
            headers["Content-Type"] = content_type
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def post(self, path, document=None):
        return self.request("POST", path, None if document is None else json.dumps(document).encode())

    def get(self, path):
        return self.request("GET", path)

    def upload(self, module, path):
        boundary = uuid.uuid4().hex
        body = (f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
                "Content-Type: application/zip\r\n\r\n").encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        return self.request("POST", f"/softwaremodules/{module}/artifacts", body, f"multipart/form-data; boundary={boundary}")


def roll_out(hawkbit, args, ds):
    rollout = hawkbit.post("/rollouts", {
        "name": f"{args.name} {args.version}",
        "description": f"Rollout of {args.name} {args.version}",
        "targetFilterQuery": args.filter,
        "distributionSetId": ds,
        "amountGroups": args.groups,
        "type": "forced",
        "successCondition": {"condition": "THRESHOLD", "expression": "50"},
        "successAction": {"action": "NEXTGROUP", "expression": ""},
        "errorCondition": {"condition": "THRESHOLD", "expression": "80"},
        "errorAction": {"action": "PAUSE", "expression": ""},
    })["id"]
    tick, deadline = threading.Event(), time.monotonic() + 60
    while (status := hawkbit.get(f"/rollouts/{rollout}")["status"]) != "ready":
        if time.monotonic() > deadline:
            raise TimeoutError(f"the rollout is still {status}")
        tick.wait(0.1)
    hawkbit.post(f"/rollouts/{rollout}/start")
    return rollout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", default="admin")
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--file", type=pathlib.Path, required=True)
    parser.add_argument("--target")
    parser.add_argument("--filter")
    parser.add_argument("--groups", type=int, default=1)
    args = parser.parse_args()
    hawkbit = Hawkbit(args.url, args.user, args.password)
    module = hawkbit.post("/softwaremodules", [
        {"vendor": "vendor Limited, California", "name": args.name, "description": args.name, "type": "application", "version": args.version}])[0]["id"]
    artifact = hawkbit.upload(module, args.file)
    ds = hawkbit.post("/distributionsets", [
        {"requiredMigrationStep": False, "name": args.name, "description": args.name, "type": "app", "version": args.version, "modules": [{"id": module}]}])[0]["id"]
    made = {"module": module, "artifact": artifact, "distributionSet": ds}
    if args.target:
        made["assignment"] = hawkbit.post(f"/distributionsets/{ds}/assignedTargets", [{"id": args.target, "type": "forced"}])
    if args.filter:
        made["rollout"] = roll_out(hawkbit, args, ds)
    print(json.dumps(made))


if __name__ == "__main__":
    main()
