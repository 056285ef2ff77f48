#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""schemathesis (from PyPI) against the update server's OpenAPI document: no server error, no answer outside its schema.

Requests are made up from the document, valid and invalid ones; Management as the admin, devices behind a gateway token of the tenant
DEFAULT. The event stream is left out, since it never ends.
"""
import argparse
import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
import conftest  # noqa: E402

LIMIT_S = 900
CHECKS = "not_a_server_error,status_code_conformance,response_schema_conformance"


def call(url, method, path, body):
    request = urllib.request.Request(f"{url}/rest/v1{path}", json.dumps(body).encode(), method=method, headers={
        "Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(b"admin:admin").decode()})
    urllib.request.urlopen(request, timeout=20).close()


def furnish(url):
    """Something behind the small numbers that made-up requests like."""
    for key, value in (("enabled", True), ("key", "gate")):
        call(url, "PUT", f"/system/configs/authentication.gatewaytoken.{key}", {"value": value})
    call(url, "POST", "/targets", [{"controllerId": str(i)} for i in range(3)])
    call(url, "POST", "/targettags", [{"name": "tag"}])
    call(url, "POST", "/distributionsettags", [{"name": "tag"}])
    call(url, "POST", "/targettypes", [{"name": "type"}])
    call(url, "POST", "/targetfilters", {"name": "filter", "query": "name==*"})
    call(url, "POST", "/softwaremodules", [{"name": "module", "version": "1", "type": "application"}])
    call(url, "POST", "/distributionsets", [{"name": "set", "version": "1", "type": "app", "modules": [{"id": 1}]}])
    call(url, "POST", "/rollouts", {"name": "rollout", "targetFilterQuery": "name==*", "distributionSetId": 1})
    call(url, "POST", "/targets/0/assignedDS", {"id": 1})


def exercise(python, url, part, options, examples, seed):
    done = subprocess.run(
        [python, "-m", "schemathesis.cli", "run", f"{url}/v3/api-docs/{part}", "--base-url", url, "-c", CHECKS, "-D", "all",
         "--exclude-operation-id", "events stream", "--hypothesis-max-examples", str(examples), "--hypothesis-seed", str(seed),
         "--hypothesis-suppress-health-check", "all", "--hypothesis-deadline", "60000", *options],
        capture_output=True, text=True, timeout=LIMIT_S, check=False)
    print(done.stdout.splitlines()[-1] if done.returncode == 0 else done.stdout[-8000:] + done.stderr[-2000:], flush=True)
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="a Python that has schemathesis")
    parser.add_argument("--examples", type=int, default=20, help="requests made up for each route and method")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="driveline-schema.") as folder:
        port = conftest.free_port()
        url = f"http://127.0.0.1:{port}"
        server = conftest.Program([conftest.DRIVELINE, "serve", "ota", "--listen", url[7:], "--data", f"{folder}/data", "--log-level", "error",
                                   "--user", "admin:admin:DEFAULT:TENANT_ADMIN"], pathlib.Path(folder) / "ota.log")
        try:
            conftest.wait_until(lambda: conftest.accepts(port), 20, "the update server")
            furnish(url)
            ok = exercise(args.python, url, "Management%20API", ["-a", "admin:admin"], args.examples, args.seed)
            ok &= exercise(args.python, url, "Direct%20Device%20Integration%20API",
                           ["-H", "Authorization: GatewayToken gate", "--set-path", "tenant=DEFAULT"], args.examples, args.seed)
        finally:
            status = server.stop()
        ok &= status == 0
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
