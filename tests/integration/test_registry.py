# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Things and policies from the command line: what OpenSSL says of the certificates, several commands at once,
and commands that are killed."""
import concurrent.futures
import json
import random
import subprocess

import pytest

from conftest import DRIVELINE, pause, run_verb


def openssl(*words):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True).stdout


def things(data):
    return {t["name"]: t for t in json.loads(run_verb(data, "thing", "list", "--output", "json").stdout)}


def files_belong_together(folder, name):
    public = (folder / f"{name}.public.key").read_text()
    return openssl("pkey", "-in", folder / f"{name}.private.key", "-pubout") == public and \
        openssl("x509", "-in", folder / f"{name}.cert.pem", "-noout", "-pubkey") == public


def test_openssl_takes_what_is_made(tmp_path):
    run_verb(tmp_path, "thing", "create", "WDB:1.2_3-4")
    folder = tmp_path / "things/WDB:1.2_3-4"
    assert sorted(p.name for p in folder.iterdir()) == [
        "WDB:1.2_3-4.cert.pem", "WDB:1.2_3-4.private.key", "WDB:1.2_3-4.public.key", "root-CA.crt"]
    assert files_belong_together(folder, "WDB:1.2_3-4")
    cert = folder / "WDB:1.2_3-4.cert.pem"
    assert "OK" in openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", folder / "root-CA.crt", cert)
    assert "OK" in openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost",
                           "-CAfile", folder / "root-CA.crt", tmp_path / "ca/server.crt")
    shown = openssl("x509", "-in", cert, "-noout", "-text")
    assert "CN = WDB:1.2_3-4" in shown and "NIST CURVE: P-256" in shown and "ecdsa-with-SHA256" in shown
    assert (folder / "WDB:1.2_3-4.private.key").stat().st_mode & 0o777 == 0o600
    assert (folder / "WDB:1.2_3-4.private.key").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    thing = json.loads(run_verb(tmp_path, "thing", "show", "WDB:1.2_3-4", "--output", "json").stdout)
    serial = openssl("x509", "-in", cert, "-noout", "-serial").strip().split("=")[1].lower()
    fingerprint = openssl("x509", "-in", cert, "-noout", "-fingerprint", "-sha256").split("=")[1]
    assert thing["certificates"][0]["serial"] == serial
    assert thing["certificates"][0]["fingerprint"] == fingerprint.strip().replace(":", "").lower()
    assert thing["policies"] == ["driveline-default"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", "a+", "a#", ".hidden", "ä", "x" * 65,
                                  "driveline-cloud"])
def test_a_bad_name_is_refused(tmp_path, name):
    done = run_verb(tmp_path, "thing", "create", name, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done
    assert not things(tmp_path)


def test_misuse_says_what_to_do(tmp_path):
    for words, code, hint in (
            (["thing", "create"], 2, "--help"),
            (["thing", "create", "a", "--days", "x"], 2, "whole number"),
            (["thing", "create", "a", "--days", "9999"], 1, "1 to 7300 days"),
            (["thing", "create", "a", "--policy", "nowhere"], 1, "policy list"),
            (["thing", "show", "nobody"], 1, "thing list"),
            (["thing", "list", "--output", "xml"], 2, "table or json"),
            (["policy", "create", "p", "/nowhere/p.json"], 1, "/nowhere/p.json"),
            (["policy", "show", "nowhere"], 1, "policy list"),
            (["policy", "test", "--thing", "nobody", "--action", "iot:Publish", "--resource", "x"], 2, "thing list"),
            (["policy", "test", "--thing", "a", "--action", "iot:Fly", "--resource", "x"], 2, "iot:Connect")):
        done = run_verb(tmp_path, *words, check=False)
        assert (done.returncode, hint in done.stderr) == (code, True), (words, done)
        assert done.stderr.count("\n") == 1


def test_a_bad_policy_says_where(tmp_path):
    (tmp_path / "bad.json").write_text('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish",'
                                       '"Resource":"topic/a"},{"Effect":"Allow","Action":"iot:Publsh"}]}')
    done = run_verb(tmp_path, "policy", "create", "p", tmp_path / "bad.json", check=False)
    assert done.returncode == 1
    assert "bad.json': statement 2: unknown action 'iot:Publsh'" in done.stderr


def test_many_commands_at_once_do_not_mix(tmp_path):
    data = tmp_path / "new"  # not even set up yet
    jobs = [("thing", "create", "same") for _ in range(6)] + [("thing", "create", f"car-{i}") for i in range(6)]
    random.Random(1).shuffle(jobs)
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        codes = list(pool.map(lambda words: run_verb(data, *words, check=False).returncode, jobs))
    assert sum(code == 0 for code, words in zip(codes, jobs) if words[2] == "same") == 1
    assert all(code == 0 for code, words in zip(codes, jobs) if words[2] != "same")
    assert len(things(data)) == 7
    for name, thing in things(data).items():
        folder = data / "things" / name
        assert files_belong_together(folder, name)
        serial = openssl("x509", "-in", folder / f"{name}.cert.pem", "-noout", "-serial")
        assert serial.strip().split("=")[1].lower() == thing["serial"]
    access = json.loads((data / "broker/access.json").read_text())
    assert {c["thing"] for c in access["certificates"].values()} == {*things(data), "driveline-cloud"}


def test_a_killed_command_leaves_all_or_nothing(tmp_path):
    run_verb(tmp_path, "thing", "list")
    chance = random.Random(2)
    done = 0
    for i in range(40):
        name = f"car-{i}"
        with subprocess.Popen([DRIVELINE, "thing", "create", name, "--data", tmp_path],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            pause(chance.uniform(0, 0.03))
            child.kill()
        there = things(tmp_path)
        if name not in there:
            run_verb(tmp_path, "thing", "create", name)  # what is left of it is in nobody's way
        else:
            done += 1
        folder = tmp_path / "things" / name
        assert files_belong_together(folder, name)
        serial = openssl("x509", "-in", folder / f"{name}.cert.pem", "-noout", "-serial")
        assert serial.strip().split("=")[1].lower() == things(tmp_path)[name]["serial"]
        access = json.loads((tmp_path / "broker/access.json").read_text())
        assert {c["thing"] for c in access["certificates"].values()} == {*things(tmp_path), "driveline-cloud"}
    print(f"{done} of 40 were done before they were killed")


def test_a_killed_set_up_is_finished_by_the_next(tmp_path):
    chance = random.Random(3)
    for i in range(30):
        data = tmp_path / f"d{i}"
        with subprocess.Popen([DRIVELINE, "thing", "list", "--data", data], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as child:
            pause(chance.uniform(0, 0.02))
            child.kill()
        run_verb(data, "thing", "create", "car-1")
        folder = data / "things/car-1"
        assert "OK" in openssl("verify", "-CAfile", folder / "root-CA.crt", folder / "car-1.cert.pem",
                               data / "ca/server.crt", data / "ca/driveline-cloud.crt")
        assert len((data / "secrets/admin.password").read_text().strip()) == 32
