# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""`driveline api`: every route of the OpenAPI document as a command, against this server."""
import json
import os
import pathlib
import subprocess

import pytest

from hawkbit import SLOW
from test_contract import DRIVELINE, operations
from walk import FILE, call_of


@pytest.fixture
def run(server, tmp_path):
    if not DRIVELINE.exists():
        pytest.skip("driveline is not built here")
    password = tmp_path / "password"
    password.write_text(server.password + "\n")

    def command(*words, status=0, stdin=None, device=None):
        argv = [DRIVELINE, "api", *map(str, words), "--url", server.base, "--user", server.user, "--password-file", password, "--tenant", server.tenant]
        if device:
            argv += ["--token", device]
        done = subprocess.run(argv, input=stdin or b"", capture_output=True, timeout=60 * SLOW, check=False, cwd=tmp_path)
        assert done.returncode == status, (argv, done.stdout[-2000:], done.stderr)
        return done.stdout if status == 0 else done.stderr.decode()
    return command


def listed(text):
    return {line[:46].strip() for line in text.decode().splitlines()}


def test_every_operation_is_listed(run, server):
    """driveline api --list: the document's operations."""
    document = json.loads(server.raw("GET", "/v3/api-docs").body)
    names = {operation["operationId"] for methods in document["paths"].values() for operation in methods.values()}
    assert listed(run("--list")) == names


def test_every_operation_has_help(run):
    """driveline api ENTITY OPERATION --help."""
    for name in listed(run("--list")):
        text = run(*name.split(), "--help").decode()
        assert text.startswith(f"Usage: driveline api {name} [options]") and "/rest/v1" in text or "/controller/v1/" in text, text


def test_every_route_is_a_command(hb, run, tmp_path):
    """driveline api: a call of each route that succeeds there succeeds here."""
    (tmp_path / "fw.bin").write_bytes(b"0123456789")
    if not getattr(hb.server, "contract", None):
        pytest.skip("no --contract: this server's document is not asked for")
    for path, method, operation in operations(hb.server.contract):
        name = operation["operationId"]
        if name == "events stream":
            continue  # never ends
        parameters, query, body = call_of(hb, method, path, operation)
        words = [*name.split(), *parameters, *(word for k, v in query.items() for word in (f"--{k}", v))]
        token = None
        if name.startswith("device "):
            token = "TargetToken " + hb.get(f"/targets/{parameters[0]}")["securityToken"]
        if body is FILE:
            out = run(*words, "--file", "fw.bin", "--output", "json")
            assert json.loads(out)["size"] == 10
        elif body is not None:
            out = run(*words, "--body", "-", "--output", "json", stdin=json.dumps(body).encode(), device=token)
            if name.endswith(" create") and name != "targets create":
                made = json.loads(out)
                hb.keep(name.split()[0], (made[0] if isinstance(made, list) else made)["id"])
        else:
            out = run(*words, "--output", "json", device=token)
            if name.endswith(" download"):
                assert out == b"0123456789"
        hb.clean()


def test_members_are_options(hb, run):
    """driveline api: a body from options, a list from further arguments, a table and JSON out."""
    controller_id = hb.keep("targets", hb.name())
    run("targets", "create", "--controllerId", controller_id, "--name", "a name", "--requestAttributes", "true")
    shown = json.loads(run("targets", "show", controller_id, "--output", "json"))
    assert shown["name"] == "a name"
    tag = hb.create("targettags", name=hb.name())["id"]
    run("targettags", "assign", tag, controller_id)
    assert controller_id.encode() in run("targettags", "members", tag)
    table = run("targets", "list", "--q", f"id=={controller_id}").decode().splitlines()
    assert "controllerId" in table[0] and controller_id in table[-1]
    module = hb.module()
    path = f"/softwaremodules/{module}"
    run("softwaremodules", "update", module, "--vendor", "somebody", "--locked", "true")
    assert (hb.get(path)["vendor"], hb.get(path)["locked"]) == ("somebody", True)


def test_a_file_goes_up_and_comes_down(hb, run, tmp_path):
    """driveline api: upload with --file, download with --to; a wrong checksum is refused."""
    content = os.urandom(300000)
    (tmp_path / "up.bin").write_bytes(content)
    module = hb.module()
    made = json.loads(run("softwaremodules", "upload", module, "--file", "up.bin", "--output", "json"))
    assert made["providedFilename"] == "up.bin"
    run("softwaremodules", "download", module, made["id"], "--to", "down.bin")
    assert pathlib.Path(tmp_path / "down.bin").read_bytes() == content
    text = run("softwaremodules", "upload", module, "--file", "up.bin", "--filename", "b.bin", "--md5sum", "0" * 32, status=1)
    assert "checksum.md5.match" in text
    run("softwaremodules", "download", module, 999999999, "--to", "none.bin", status=1)
    assert not (tmp_path / "none.bin").exists()


@pytest.mark.parametrize("words, text, status", [
    (["targets", "show", "none-such"], "(404)", 1), (["targets", "show"], "controllerId is missing", 2), (["targets", "nothing"], "--list", 2),
    (["targets", "show", "a", "b"], "unexpected argument 'b'", 2), (["rollouts", "create", "--weight", "much"], "--weight takes JSON", 2),
    (["targets", "create"], "the body is missing", 2), (["softwaremodules", "upload", "1"], "--file FILE", 2), (["targets", "list", "--limit", "x"], "(400)", 1)])
def test_misuse_is_told(run, words, text, status):
    """driveline api: errors say what to do next."""
    assert text in run(*words, status=status)
