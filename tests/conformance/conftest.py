# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Options and fixtures of the conformance suite.

  pytest tests/conformance                                          our server, started for the run
  pytest tests/conformance --base-url http://host:8080 --password … any hawkBit

The suite expects no empty server: names begin with a prefix of this run, and what a case made it takes away.
Settings of the tenant are changed for a case and put back. It depends on no order of its cases, and it
must not run twice at once on one tenant, since those settings belong to the tenant.
"""
import contextlib
import os
import pathlib
import secrets
import socket
import subprocess
import tempfile

import pytest

from contract import Contract
from hawkbit import SLOW, Server, World, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DRIVELINE_BUILD", ROOT / "build")).resolve()
# Users that cases about permissions need: what each may do.
EXTRA_USERS = {
    "reader": "READ_TARGET",
    "repo": "REPOSITORY_ADMIN",
    "rollouts": "ROLLOUT_ADMIN",
    "nobody": "",
    "other": "TENANT_ADMIN, of another tenant",
}


def pytest_addoption(parser):
    group = parser.getgroup("conformance", "the server under test")
    group.addoption("--base-url", help="a running hawkBit, e.g. http://127.0.0.1:8080; without it ours is started for the run")
    group.addoption("--user", default="admin", help="a user who may everything (default admin)")
    group.addoption("--password", default="admin", help="that user's password (default admin)")
    group.addoption("--tenant", default="DEFAULT", help="that user's tenant (default DEFAULT)")
    group.addoption("--extra-user", action="append", default=[], metavar="ROLE=NAME:PASSWORD[:TENANT]",
                    help="repeatable; roles: " + "; ".join(f"{k} ({v or 'nothing'})" for k, v in EXTRA_USERS.items()))
    group.addoption("--contract", action="store_true", help="check every answer against the server's own /v3/api-docs (always so for ours)")
    group.addoption("--strictly", action="store_true", help="also the cases in which hawkBit is known to differ (docs/hawkbit-differences.md)")


def pytest_configure(config):
    config.addinivalue_line("markers", "strict(reason): hawkBit is known to differ; only with --strictly or on our own server")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--base-url") and not config.getoption("--strictly"):
        for item in items:
            if (marker := item.get_closest_marker("strict")):
                item.add_marker(pytest.mark.skip(reason=f"with --strictly only: {marker.args[0]}"))


class OwnServer:
    """`driveline serve ota` with a fresh folder on a free port."""

    def __init__(self, folder):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.log = pathlib.Path(folder) / "ota.log"
        users = ["admin:admin:DEFAULT:TENANT_ADMIN", "reader:reader:DEFAULT:READ_TARGET", "repo:repo:DEFAULT:REPOSITORY_ADMIN",
                 "rollouts:rollouts:DEFAULT:ROLLOUT_ADMIN", "nobody:nobody:DEFAULT:", "other:other:OTHER:TENANT_ADMIN"]
        argv = [str(BUILD / "src/tool/driveline"), "serve", "ota", "--listen", f"127.0.0.1:{self.port}", "--data", f"{folder}/data"]
        for user in users:
            argv += ["--user", user]
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def accepts(self):
        assert self.child.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def stop(self):
        self.child.terminate()
        try:
            return self.child.wait(timeout=30 * SLOW)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


@pytest.fixture(scope="session")
def own_server(pytestconfig):
    """Our server, or None if the run is about another one."""
    if pytestconfig.getoption("--base-url"):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="conformance.") as folder:
        server = OwnServer(folder)
        try:
            wait_until(server.accepts, "the update server", 20)
            yield server
        finally:
            status = server.stop()
            if status != 0:
                print(server.log.read_text()[-4000:])
        assert status == 0, f"the server ended with {status}"


@pytest.fixture(scope="session")
def server(pytestconfig, own_server):
    option = pytestconfig.getoption
    base = option("--base-url") or f"http://127.0.0.1:{own_server.port}"
    s = Server(base, option("--user"), option("--password"), option("--tenant"), "cf" + secrets.token_hex(4))
    s.extra_users = {role: (role, role, "OTHER" if role == "other" else s.tenant) for role in EXTRA_USERS} if own_server else {}
    for text in option("--extra-user"):
        role, _, user = text.partition("=")
        assert role in EXTRA_USERS, f"--extra-user {text}: '{role}' is none of {', '.join(EXTRA_USERS)}"
        s.extra_users[role] = (*user.split(":"), s.tenant)[:3]
    if own_server or option("--contract"):
        s.contract = Contract(s.raw("GET", "/v3/api-docs").json)

        def keeps_to_it(answer):
            faults = s.contract.faults(answer)
            assert not faults, (faults, answer)
        s.watch = keeps_to_it
    world = World(s)
    # Devices prove themselves by their target token, the way that every hawkBit has.
    world.configure("authentication.targettoken.enabled", True)
    yield s
    world.clean()
    s.close()


@pytest.fixture
def hb(server):
    """The server, with what this test made on it."""
    world = World(server)
    yield world
    world.clean()


@pytest.fixture
def as_user(server):
    """as_user("reader"): credentials of a user with few permissions; skips if there is no such user."""
    def credentials(role):
        if role not in server.extra_users:
            pytest.skip(f"no user for '{role}' (may {EXTRA_USERS[role] or 'nothing'}): give --extra-user {role}=NAME:PASSWORD")
        return server.extra_users[role][:2]
    return credentials
