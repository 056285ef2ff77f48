# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The update server on PostgreSQL: it does what it does on SQLite, and several servers share one database."""
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import test_ota
from conftest import BUILD, DRIVELINE, ROOT, SLOW, run_verb, wait_until
from postgres import BIN, Postgres
from test_ota import Server, closed

sys.path.insert(0, str(ROOT / "tests"))
import oracle  # noqa: E402

pytestmark = pytest.mark.skipif(BIN is None, reason="no PostgreSQL here: apt-get install postgresql")


@pytest.fixture(scope="module")
def postgres():
    p = Postgres().start()
    yield p
    p.close()


@pytest.fixture
def database(postgres, request):
    """An empty database of the test's own."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**12}"
    postgres.create(name)
    return name


# ---- what holds on SQLite holds here: test_ota's own tests, on servers with a database ---------------------------


@pytest.fixture
def server(tmp_path, postgres, database):
    s = Server(tmp_path, "--database", postgres.url(database)).start()
    yield s
    assert s.program.stop() == 0, s.program.text()[-3000:]
    assert "error" not in s.program.text(), s.program.text()[-3000:]


SAME = [name for name, value in vars(test_ota).items()
        if name.startswith("test_") and callable(value) and "server" in value.__code__.co_varnames[:value.__code__.co_argcount]]
for _name in SAME:
    globals()[_name] = getattr(test_ota, _name)


@pytest.mark.parametrize("name", oracle.LEAST)
def test_answers_agree_with_hawkbit_as_on_sqlite(postgres, name):
    if not oracle.is_there():
        pytest.skip(f"no recordings of hawkBit in {oracle.FOLDER}; set DRIVELINE_SHARED")
    agreed, steps, text = oracle.replay(BUILD, name, lambda file: postgres.create(f"oracle_{file}"))
    print(text)
    assert agreed >= oracle.LEAST[name] * steps, f"{name}: {agreed} of {steps} steps agree"


# ---- several servers on one database -----------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path, postgres, database):
    """Two servers that share a database and a folder of artifacts, started at once on the empty database."""
    servers = [Server(tmp_path / name, "--database", postgres.url(database)) for name in ("one", "two")]
    for s in servers:
        s.folder.mkdir()
        s.data = tmp_path / "data"
        s.spawn()
    for s in servers:
        s.wait()
    yield servers
    for s in servers:
        s.program.stop()


def counts(postgres, database):
    """How many actions there are, of how many targets, and how many of them still run."""
    return [int(v) for v in postgres.sql(
        database, "SELECT count(*), count(DISTINCT target), coalesce(sum(active), 0) FROM action")[0]]


def fleet(server, n):
    for start in range(0, n, 500):
        server.expect(201, "POST", "/rest/v1/targets",
                      [{"controllerId": f"car-{i}", "name": f"car-{i}"} for i in range(start, min(start + 500, n))])


def answer_all(servers, postgres, database, token):
    """Reports success for every running action, in turn by one server and the other; errors of a server that is away
    are tried again later."""
    rows = postgres.sql(database, "SELECT t.controller_id, a.id FROM action a JOIN target t ON t.id=a.target WHERE a.active=1"
                                  " AND a.status IN (3, 4)")
    for i, (name, action) in enumerate(rows):
        try:
            servers[i % len(servers)].device("POST", name, f"/deploymentBase/{action}/feedback", closed("success"), token=token)
        except OSError:
            continue


def rollout_over(servers, n, groups):
    one = servers[0]
    token = one.gateway()
    fleet(one, n)
    ds = one.set_with("app", "2", b"new")
    rollout = one.rollout(name="r", distributionSetId=ds, amountGroups=groups,
                          successCondition={"condition": "THRESHOLD", "expression": "100"},
                          errorCondition={"condition": "THRESHOLD", "expression": "50"})
    one.rollout_is(rollout, "ready", 30)
    servers[1].expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    return rollout, token


def finish(alive, postgres, database, rollout, token, timeout=90):
    def done():
        answer_all(alive, postgres, database, token)
        try:
            status, answer = alive[0].call("GET", f"/rest/v1/rollouts/{rollout}")
        except OSError:
            return False
        return status == 200 and answer["status"] == "finished"
    wait_until(done, timeout, "the rollout's end", every=0.2)


def test_two_servers_take_each_step_of_a_rollout_once(pair, postgres, database):
    rollout, token = rollout_over(pair, 60, 3)
    finish(pair, postgres, database, rollout, token)
    assert counts(postgres, database) == [60, 60, 0]
    led = [s for s in pair if "takes the steps of rollouts" in s.program.text()]
    assert len(led) == 1, "exactly one of them leads"


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_server_leaves_its_rollout_to_the_other(pair, postgres, database, victim):
    rollout, token = rollout_over(pair, 40, 4)
    wait_until(lambda: counts(postgres, database)[2] > 0, 20, "the first group's actions")
    pair[victim].program.kill()
    finish([pair[1 - victim]], postgres, database, rollout, token)
    assert counts(postgres, database) == [40, 40, 0]


def test_a_rollout_survives_a_restart_of_postgresql(pair, postgres, database):
    rollout, token = rollout_over(pair, 40, 4)
    wait_until(lambda: counts(postgres, database)[2] > 0, 20, "the first group's actions")
    postgres.stop(signal.SIGQUIT)
    status, answer = pair[0].call("GET", "/rest/v1/targets")
    assert (status, answer["errorCode"]) == (503, "hawkbit.server.error.repo.genericError")
    assert pair[1].call("GET", "/rest/v1/targets")[0] == 503, "refused again, and at once"
    postgres.start()
    wait_until(lambda: pair[0].call("GET", "/rest/v1/targets")[0] == 200, 20, "a new connection")
    finish(pair, postgres, database, rollout, token)
    assert counts(postgres, database) == [40, 40, 0]
    assert "connected to PostgreSQL again" in pair[0].program.text()


def test_what_one_server_changes_the_other_knows_within_a_second(pair, postgres, database):
    one, two = pair
    assert two.device("GET", "car-1")[0] == 401
    token = one.gateway()
    started = time.monotonic()
    wait_until(lambda: two.device("GET", "car-1", token=token)[0] == 200, 10, "the other server's new setting")
    assert time.monotonic() - started < 2 * SLOW
    assert "deploymentBase" not in two.device("GET", "car-1", token=token)[1].get("_links", {})
    ds = one.set_with("app", "3", b"new")
    one.expect(200, "POST", f"/rest/v1/distributionsets/{ds}/assignedTargets", [{"id": "car-1"}])
    started = time.monotonic()
    wait_until(lambda: "deploymentBase" in two.device("GET", "car-1", token=token)[1].get("_links", {}), 10, "the assignment")
    assert time.monotonic() - started < 2 * SLOW, "an answer from memory is dropped when another server writes"


# ---- addresses, passwords, rights --------------------------------------------------------------------------------


def refused(tmp_path, url, env=None):
    done = subprocess.run([str(DRIVELINE), "serve", "ota", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"),
                           "--database", url], capture_output=True, text=True, timeout=60 * SLOW, check=False,
                          env={**os.environ, **(env or {})})
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def test_a_database_that_is_not_there_is_refused_with_the_next_step(tmp_path, postgres):
    assert "createdb" in refused(tmp_path, postgres.url("absent"))
    assert "is PostgreSQL running" in refused(tmp_path, "postgresql://driveline@127.0.0.1:1/x")


def test_a_password_comes_from_a_file(tmp_path, postgres):
    postgres.sql("postgres", "CREATE ROLE locked LOGIN PASSWORD 'sesame'")
    postgres.create("locked", "locked")
    assert "pgpass" in refused(tmp_path, postgres.url("locked", "locked"), {"HOME": str(tmp_path)})
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:locked:sesame\n", encoding="utf-8")
    passfile.chmod(0o600)
    s = Server(tmp_path / "s", "--database", postgres.url("locked", "locked", f"?passfile={passfile}"))
    s.folder.mkdir()
    s.start()
    s.expect(200, "GET", "/rest/v1/targets")
    assert s.program.stop() == 0


def test_a_role_without_rights_and_a_newer_schema_are_refused(tmp_path, postgres, database):
    postgres.sql("postgres", "CREATE ROLE guest LOGIN")
    assert "GRANT CREATE ON SCHEMA" in refused(tmp_path, postgres.url(database, "guest"))
    s = Server(tmp_path / "s", "--database", postgres.url(database))
    s.folder.mkdir()
    s.start().program.stop()
    postgres.sql(database, "UPDATE schema_version SET version=9999")
    assert "newer" in refused(tmp_path, postgres.url(database))


def test_the_cloud_and_why_use_the_database_of_the_configuration(make_cloud, postgres, database):
    cloud = make_cloud(ota_database=postgres.url(database)).start()
    cloud.create_thing("VIN1")
    status, _ = cloud.api("POST", "/rest/v1/targets", [{"controllerId": "VIN1", "name": "VIN1"}])
    assert status == 201
    assert postgres.sql(database, "SELECT controller_id FROM target") == [["VIN1"]]
    assert "VIN1" in run_verb(cloud.data, "why", "VIN1").stdout
    assert not pathlib.Path(cloud.data, "ota.db").exists()
