# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The server's own OpenAPI document (/v3/api-docs): every route is in it, and is answered as it says.

Every other case of this suite checks its answers against the document too, as they come in (conftest.py); this file sees to it that each
route was asked at least once, and succeeds.
"""
import os
import pathlib
import re
import subprocess

import pytest

from contract import Contract
from hawkbit import Device, escape
from walk import FILE, call_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DRIVELINE_BUILD", ROOT / "build")).resolve()
DRIVELINE = BUILD / "src/tool/driveline"


@pytest.fixture(scope="module")
def contract(server):
    if not getattr(server, "contract", None):
        pytest.skip("no --contract: this server's document is not asked for")
    return server.contract


def operations(contract):
    return [(path, method.upper(), operation) for path, methods in contract.document["paths"].items() for method, operation in methods.items()]


def test_every_route_is_in_the_document(contract, own_server):
    """OpenAPI: what `driveline serve ota --routes` prints."""
    if not own_server:
        pytest.skip("only our server prints its routes")
    printed = subprocess.run([DRIVELINE, "serve", "ota", "--routes"], capture_output=True, text=True, check=True).stdout
    routes = re.findall(r"^(GET|POST|PUT|DELETE) +(/\S*)", printed, re.M)
    assert len(routes) > 140
    for method, path in routes:
        assert contract.find(method, re.sub(r"\{\w\}", "1", path)), f"{method} {path}"


def test_every_operation_says_what_it_is(contract):
    """OpenAPI: names are unique, everything has a summary, a success and the errors."""
    names = [operation["operationId"] for _, _, operation in operations(contract)]
    assert len(set(names)) == len(names) > 140
    for path, method, operation in operations(contract):
        assert operation["summary"] and "4XX" in operation["responses"] and any(s[0] == "2" for s in operation["responses"]), (method, path)
        assert all(p["description"] and p["schema"] for p in operation["parameters"]), (method, path)
        declared = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path)), (method, path)


def test_references_lead_somewhere(contract):
    """OpenAPI: each $ref is a document of components."""
    known = set(contract.document["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/(\w+)", str(contract.document))) <= known


def ask(hb, method, path, operation):
    parameters, query, body = call_of(hb, method, path, operation)
    is_device = path.startswith("/{tenant}")
    address = path.replace("{tenant}", hb.server.tenant)
    for value in parameters:
        address = re.sub(r"\{\w+\}", escape(value).replace("\\", ""), address, count=1)
    address += "?" + "&".join(f"{k}={escape(v)}" for k, v in query.items()) if query else ""
    if is_device:
        device = Device(hb.server, parameters[0], hb.get(f"/targets/{escape(parameters[0])}")["securityToken"])
        return device.call(method, address[len(device.base):], body)
    if body is FILE:
        return hb.upload(parameters[0], status=201) and None
    return hb.call(method, address.removeprefix("/rest/v1"), body, headers={"Accept": "application/json"} if "metadata" in path else None)


def test_every_route_is_answered_as_it_says(hb, contract):
    """OpenAPI: a call of each route succeeds with a documented status, and its document matches the schema."""
    asked = 0
    for path, method, operation in operations(contract):
        if operation["operationId"] == "events stream":
            continue  # never ends; tests/integration reads it
        answer = ask(hb, method, path, operation)  # the watch of conftest.py checks it
        if operation["operationId"] in ("users create", "tokens create"):
            hb.keep(path.rsplit("/", 1)[1], answer.json[0]["id"])
        assert answer is None or 200 <= answer.status < 300, (operation["operationId"], answer)
        hb.clean()
        asked += 1
    assert asked > 140


@pytest.mark.parametrize("part, has_management, has_devices", [("", True, True), ("/Management%20API", True, False), ("/Direct%20Device%20Integration%20API", False, True)])
def test_the_document_in_parts(server, contract, part, has_management, has_devices):
    """OpenAPI: both interfaces together and each alone, without credentials."""
    document = Contract(server.raw("GET", "/v3/api-docs" + part).json)
    assert bool(document.find("GET", "/rest/v1/targets")) is has_management
    assert bool(document.find("GET", "/DEFAULT/controller/v1/x")) is has_devices


def test_the_document_for_persons(server, contract):
    """OpenAPI: a page that names every route."""
    answer = server.raw("GET", "/swagger-ui/index.html")
    assert answer.status == 200 and answer.type == "text/html"
    for path, method, operation in operations(contract):
        assert operation["summary"] in answer.body.decode(), (method, path)
