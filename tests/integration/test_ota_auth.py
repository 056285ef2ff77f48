# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Who may do what on the update server: users, API tokens, devices of every kind of proof, proxies, tenants."""
import base64
import concurrent.futures
import json
import ssl
import subprocess
import time
import urllib.error

import pytest

from conftest import DRIVELINE, Program, accepts, free_port, http_json, run_verb, wait_until
from test_ota import ADMIN, Server

USERINFO = "/rest/v1/userinfo"


@pytest.fixture
def make_server(tmp_path):
    made = []

    def make(*options, name="server"):
        made.append(Server(tmp_path / name, *options))
        return made[-1].start()
    yield make
    for s in made:
        assert s.program.stop() == 0, s.program.text()[-3000:]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server for tests that don't mind each other."""
    s = Server(tmp_path_factory.mktemp("shared"), "--login-failures", "0").start()
    yield s
    assert s.program.stop() == 0, s.program.text()[-3000:]


# ---- users of the start ------------------------------------------------------------------------------


def test_users_of_a_file_log_in(make_server, tmp_path):
    users = tmp_path / "users"
    users.write_text("# people\nann:a secret:DEFAULT:READ_TARGET\r\n\nbob:b:OTHER:TENANT_ADMIN\n")
    users.chmod(0o600)
    server = make_server("--users-file", users)
    assert server.expect(200, "GET", USERINFO, user="ann:a secret") == {
        "tenant": "DEFAULT", "username": "ann", "permissions": ["READ_TARGET"]}
    assert server.expect(200, "GET", USERINFO, user="bob:b")["tenant"] == "OTHER"
    server.expect(401, "GET", USERINFO, user="ann:b")


@pytest.mark.parametrize("text, mode, reason", [
    ("ann:a:DEFAULT:READ_TARGET\n", 0o644, "others may read it"),
    ("ann:a:DEFAULT:READ_TARGET\nbob\n", 0o600, ":2: a user is written as NAME:PASSWORD:TENANT:ROLES"),
    ("ann:a:DEFAULT:NOTHING\n", 0o600, "'NOTHING' is no role"),
])
def test_a_bad_file_of_users_is_refused(tmp_path, text, mode, reason):
    users = tmp_path / "users"
    users.write_text(text)
    users.chmod(mode)
    program = Program([DRIVELINE, "serve", "ota", "--listen", f"127.0.0.1:{free_port()}", "--data", tmp_path / "data",
                       "--users-file", users], tmp_path / "log")
    assert program.wait(20) == 1
    assert reason in program.text()


# ---- passwords ---------------------------------------------------------------------------------------


def test_guesses_are_slowed_down_and_lock_nobody_out(make_server):
    server = make_server("--login-failures", "3")
    server.expect(200, "GET", USERINFO)
    for _ in range(3):
        server.expect(401, "GET", USERINFO, user="admin:guess")
    status, answer = server.call("GET", USERINFO, user="admin:guess")
    assert status == 429 and answer["error"] == "Too Many Requests"
    server.expect(200, "GET", USERINFO)  # who is logged in stays so
    server.expect(200, "GET", USERINFO, user="reader:r")  # and others come in
    server.expect(401, "GET", USERINFO, user="nobody:guess")


def test_a_wrong_password_takes_as_long_for_nobody_as_for_somebody(shared):
    def fastest(user):
        times = []
        for _ in range(3):
            begin = time.monotonic()
            shared.expect(401, "GET", USERINFO, user=user)
            times.append(time.monotonic() - begin)
        return min(times)
    known, unknown = fastest("admin:guess"), fastest("nosuchuser:guess")
    assert known > 0.01 and unknown > 0.01, "nothing memory-hard takes so little"
    assert 0.4 < known / unknown < 2.5


def test_devices_are_answered_while_passwords_are_checked(shared):
    token = shared.gateway()
    assert shared.device("GET", "car", token=token)[0] == 200
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        guesses = [pool.submit(shared.call, "GET", USERINFO, user=f"nobody{i}:guess") for i in range(6)]
        polls = 0
        while not all(g.done() for g in guesses):
            assert shared.device("GET", "car", token=token)[0] == 200
            polls += 1
        assert {g.result()[0] for g in guesses} == {401}
    assert polls > 12  # the loop would have answered none between two guesses


# ---- users of the database ---------------------------------------------------------------------------


def add_user(server, name, *permissions, user=ADMIN, password="a password", **more):
    made = server.expect(201, "POST", "/rest/v1/users",
                         [{"name": name, "password": password, "permissions": list(permissions), **more}], user=user)
    return made[0]


def test_a_user_is_made_changed_and_removed(make_server):
    server = make_server()
    made = add_user(server, "ann", "READ_TARGET", "TARGET_ADMIN", description="of the night shift")
    assert {k: v for k, v in made.items() if not k.endswith("At")} == {
        "name": "ann", "tenant": "DEFAULT", "description": "of the night shift", "id": made["id"],
        "permissions": ["READ_TARGET", "ROLE_TARGET_ADMIN"], "createdBy": "admin", "lastModifiedBy": "admin",
        "_links": {"self": {"href": f"{server.url}/rest/v1/users/{made['id']}"}}}
    one = f"/rest/v1/users/{made['id']}"
    assert server.expect(200, "GET", one) == made
    assert server.expect(200, "GET", "/rest/v1/users?q=name==a*")["content"] == [made]
    assert server.expect(200, "GET", USERINFO, user="ann:a password") == {
        "tenant": "DEFAULT", "username": "ann", "permissions": ["READ_TARGET", "ROLE_TARGET_ADMIN"]}
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "t"}], user="ann:a password")
    assert server.expect(200, "GET", "/rest/v1/targets/t")["createdBy"] == "ann"
    # less to do, at once, though the password is remembered
    assert server.expect(200, "PUT", one, {"permissions": ["READ_TARGET"]})["permissions"] == ["READ_TARGET"]
    server.expect(403, "DELETE", "/rest/v1/targets/t", user="ann:a password")
    # another password, at once
    server.expect(200, "PUT", one, {"password": "another password"})
    server.expect(401, "GET", USERINFO, user="ann:a password")
    server.expect(200, "GET", USERINFO, user="ann:another password")
    assert server.expect(200, "GET", one)["description"] == "of the night shift"
    server.expect(204, "DELETE", one)
    server.expect(401, "GET", USERINFO, user="ann:another password")
    server.expect(404, "GET", one)
    server.expect(404, "DELETE", one)


def test_a_password_that_nobody_gave_is_made_and_told_once(shared):
    made = shared.expect(201, "POST", "/rest/v1/users", [{"name": "gen1"}, {"name": "gen2", "permissions": ["READ_TARGET"]}])
    assert made[0]["password"] != made[1]["password"] and len(made[0]["password"]) == 32
    for one in made:
        shared.expect(200, "GET", USERINFO, user=f"{one['name']}:{one['password']}")
        assert "password" not in shared.expect(200, "GET", f"/rest/v1/users/{one['id']}")
    again = shared.expect(200, "PUT", f"/rest/v1/users/{made[0]['id']}", {"generatePassword": True})["password"]
    shared.expect(401, "GET", USERINFO, user=f"gen1:{made[0]['password']}")
    shared.expect(200, "GET", USERINFO, user=f"gen1:{again}")


def test_passwords_are_stored_as_scrypt_alone(make_server):
    server = make_server()
    add_user(server, "ann", password="keep this secret")
    assert server.program.stop() == 0
    stored = b"".join(p.read_bytes() for p in server.data.glob("ota.db*"))
    assert b"$scrypt$ln=14,r=8,p=1$" in stored and b"keep this secret" not in stored
    server.start()  # and they hold after a restart
    server.expect(200, "GET", USERINFO, user="ann:keep this secret")


@pytest.mark.parametrize("body, status", [
    ([{"name": "x", "password": "seven77"}], 400), ([{"name": "x", "password": "new\nline here"}], 400),
    ([{"name": "a:b"}], 400), ([{"name": "a b"}], 400), ([{"name": ""}], 400), ([{}], 400), ([], 400), ({}, 400),
    ([{"name": "x" * 65}], 400), ([{"name": "x", "permissions": ["NOTHING"]}], 400),
    ([{"name": "x", "permissions": ["READ_TARGET,TENANT_ADMIN"]}], 400), ([{"name": "x", "permissions": "READ_TARGET"}], 400),
    ([{"name": "admin"}], 409), ([{"name": "twin"}, {"name": "twin"}], 409),
    ([{"name": "x", "tenant": "OTHER"}], 403), ([{"name": "x", "permissions": ["SYSTEM_ADMIN"]}], 403),
    ([{"name": f"x{i}"} for i in range(11)], 429),
])
def test_what_is_no_user_is_refused_whole(shared, body, status):
    before = shared.expect(200, "GET", "/rest/v1/users")["total"]
    answer = shared.expect(status, "POST", "/rest/v1/users", body)
    assert answer["errorCode"].startswith("hawkbit.server.error.")
    assert shared.expect(200, "GET", "/rest/v1/users")["total"] == before


def test_only_administrators_see_users_and_tokens(shared):
    for method, path, body in [("GET", "users", None), ("POST", "users", [{"name": "x"}]), ("GET", "users/1", None),
                               ("PUT", "users/1", {}), ("DELETE", "users/1", None), ("GET", "tokens", None),
                               ("POST", "tokens", [{"name": "x"}]), ("GET", "tokens/1", None), ("DELETE", "tokens/1", None)]:
        shared.expect(403, method, f"/rest/v1/{path}", body, user="reader:r")
        shared.expect(401, method, f"/rest/v1/{path}", body, user=None)


def test_a_tenants_administrator_rules_no_other_tenant(make_server, tmp_path):
    users = tmp_path / "users"
    users.write_text("root:r:DEFAULT:SYSTEM_ADMIN\n")
    users.chmod(0o600)
    server = make_server("--users-file", users)
    # the system's administrator makes users of any tenant, also of one that is new
    chief = add_user(server, "chief", "TENANT_ADMIN", "SYSTEM_ADMIN", user="root:r")
    new = add_user(server, "newton", "TENANT_ADMIN", user="root:r", tenant="new")
    assert new["tenant"] == "NEW"
    assert server.expect(200, "GET", USERINFO, user="newton:a password")["tenant"] == "NEW"
    assert server.expect(200, "GET", "/rest/v1/users", user="root:r")["total"] == 2
    # a tenant's one sees its own, and touches nobody above
    assert server.expect(200, "GET", "/rest/v1/users")["content"] == [chief]
    server.expect(404, "GET", f"/rest/v1/users/{new['id']}")
    server.expect(404, "DELETE", f"/rest/v1/users/{new['id']}")
    for change in ({"password": "taken over"}, {"permissions": []}, {"description": "x"}):
        server.expect(403, "PUT", f"/rest/v1/users/{chief['id']}", change)
    server.expect(403, "DELETE", f"/rest/v1/users/{chief['id']}")
    server.expect(403, "POST", "/rest/v1/tokens", [{"name": "t", "owner": "chief"}])
    server.expect(404, "POST", "/rest/v1/tokens", [{"name": "t", "owner": "newton"}])


# ---- API tokens --------------------------------------------------------------------------------------


def add_token(server, name, user=ADMIN, **more):
    return server.expect(201, "POST", "/rest/v1/tokens", [{"name": name, **more}], user=user)[0]


def bearer(token):
    return {"user": None, "headers": {"Authorization": f"Bearer {token['token']}"}}


def test_a_token_acts_for_its_owner_until_it_is_revoked(make_server):
    server = make_server()
    token = add_token(server, "ci")
    assert token["token"].startswith("dl_") and len(token["token"]) == 67
    assert server.expect(200, "GET", USERINFO, **bearer(token)) == {
        "tenant": "DEFAULT", "username": "admin", "permissions": ["ROLE_TENANT_ADMIN"], "token": "ci"}
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "t"}], **bearer(token))
    shown = server.expect(200, "GET", f"/rest/v1/tokens/{token['id']}")
    assert "token" not in shown and shown["owner"] == "admin" and shown["lastUsedAt"] >= shown["createdAt"]
    assert b"".join(p.read_bytes() for p in server.data.glob("ota.db*")).find(token["token"].encode()) < 0
    server.expect(409, "POST", "/rest/v1/tokens", [{"name": "ci"}])
    server.expect(204, "DELETE", f"/rest/v1/tokens/{token['id']}")
    server.expect(401, "GET", USERINFO, **bearer(token))
    server.expect(404, "DELETE", f"/rest/v1/tokens/{token['id']}")


def test_a_token_may_do_less_than_its_owner_but_not_more(make_server):
    server = make_server()
    ann = add_user(server, "ann", "READ_TARGET", "CREATE_TARGET")
    server.expect(400, "POST", "/rest/v1/tokens", [{"name": "more", "owner": "ann", "permissions": ["DELETE_TARGET"]}])
    less = add_token(server, "less", owner="ann", permissions=["READ_TARGET"])
    same = add_token(server, "same", owner="ann")
    assert server.expect(200, "GET", USERINFO, **bearer(less))["permissions"] == ["READ_TARGET"]
    server.expect(403, "POST", "/rest/v1/targets", [{"controllerId": "t"}], **bearer(less))
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "t"}], **bearer(same))
    # what the owner loses, its tokens lose
    server.expect(200, "PUT", f"/rest/v1/users/{ann['id']}", {"permissions": []})
    server.expect(403, "GET", "/rest/v1/targets", **bearer(less))
    server.expect(403, "GET", "/rest/v1/targets", **bearer(same))
    server.expect(204, "DELETE", f"/rest/v1/users/{ann['id']}")
    server.expect(401, "GET", USERINFO, **bearer(same))
    # and another of that name has none of them
    add_user(server, "ann", "READ_TARGET")
    server.expect(401, "GET", USERINFO, **bearer(same))


def test_a_narrow_token_makes_no_wider_one(make_server):
    server = make_server()
    narrow = add_token(server, "narrow", permissions=["READ_TARGET"])
    server.expect(403, "POST", "/rest/v1/tokens", [{"name": "wide"}], **bearer(narrow))
    server.expect(403, "POST", "/rest/v1/users", [{"name": "x", "permissions": ["TENANT_ADMIN"]}], **bearer(narrow))


def test_a_token_ends_when_it_should(shared):
    now = int(time.time() * 1000)
    shared.expect(400, "POST", "/rest/v1/tokens", [{"name": "past", "expiresAt": now - 1000}])
    later = add_token(shared, "later", expiresAt=now + 3_600_000)
    assert later["expiresAt"] == now + 3_600_000
    shared.expect(200, "GET", USERINFO, **bearer(later))
    soon = add_token(shared, "soon", expiresAt=int(time.time() * 1000) + 1000)
    wait_until(lambda: shared.call("GET", USERINFO, **bearer(soon))[0] == 401, 20, "the token's end")


@pytest.mark.parametrize("token", ["dl_", "dl_" + "0" * 64, "dl_" + "0" * 63, "", "x" * 500])
def test_what_is_no_token_is_nobody(shared, token):
    shared.expect(401, "GET", USERINFO, user=None, headers={"Authorization": f"Bearer {token}"})


# ---- devices -----------------------------------------------------------------------------------------


POLL = "/DEFAULT/controller/v1/car"
CERTIFICATES = "driveline.authentication.certificate.enabled"
FINGERPRINTS = "driveline.authentication.certificate.fingerprints"


def poll(server, **headers):
    return http_json("GET", server.url + POLL, None, {k.replace("_", "-"): v for k, v in headers.items()})[0]


def believe_headers(server):
    server.configure("authentication.header.enabled", True)
    server.configure("authentication.header.authority", "Root CA, aa:bb:cc")


OLD = {"X_Ssl_Client_Cn": "car", "X_Ssl_Issuer_Hash_1": "AA:BB:CC"}


@pytest.mark.parametrize("headers, status", [
    ({"X_Controller_Id": "car", "X_Authority": "other; AA:BB:CC"}, 200),
    ({"X_Controller_Id": "car", "X_Authority_0": "root ca"}, 200),
    ({"X_Controller_Id": "car", "X_Authority_1": "x", "X_Authority_2": "Root CA"}, 200),
    ({"X_Controller_Id": "car", "X_Authority_1": "x", "X_Authority_3": "Root CA"}, 401),
    ({"X_Controller_Id": "car", "X_Authority": "x", "X_Authority_1": "Root CA"}, 401),
    ({"X_Controller_Id": "CAR", "X_Authority": "Root CA"}, 401),
    ({"X_Controller_Id": "car"}, 401),
    ({"X_Authority": "Root CA"}, 401),
    (OLD, 200),
    ({"X_Ssl_Client_Cn": "car", "X_Ssl_Issuer_Hash_2": "AA:BB:CC"}, 401),
    ({"X_Ssl_Client_Cn": "bus", "X_Ssl_Issuer_Hash_1": "AA:BB:CC"}, 401),
    ({"X_Ssl_Client_Cn": "car", "X_Authority": "Root CA"}, 401),
])
def test_a_proxys_headers_prove_a_device(shared, headers, status):
    believe_headers(shared)
    shared.configure("driveline.authentication.header.ssl.enabled", True)
    assert poll(shared, **headers) == status


def test_old_header_names_count_only_where_the_tenant_says_so(make_server):
    server = make_server()
    believe_headers(server)
    assert poll(server, **OLD) == 401  # as hawkBit 1.0
    server.configure("driveline.authentication.header.ssl.enabled", True)
    assert poll(server, **OLD) == 200
    assert poll(server, **OLD) == 200
    assert poll(server) == 401  # whoever shows nothing gets no kept answer


def test_headers_of_a_stranger_prove_nothing(make_server):
    server = make_server("--trusted-proxy", "192.0.2.0/24", "--trusted-proxy", "2001:db8::1")
    believe_headers(server)
    assert poll(server, X_Controller_Id="car", X_Authority="Root CA") == 401
    token = server.gateway()
    assert poll(server, Authorization=token) == 200


def test_a_bad_list_of_proxies_is_refused(tmp_path):
    program = Program([DRIVELINE, "serve", "ota", "--listen", f"127.0.0.1:{free_port()}", "--data", tmp_path / "data",
                       "--trusted-proxy", "10.0.0.0/99"], tmp_path / "log")
    assert program.wait(20) == 1
    assert "'10.0.0.0/99' is no address or network" in program.text()


def openssl(*words):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, the server's certificate, and for each name a device's; `stranger` is of another CA."""
    d = tmp_path_factory.mktemp("pki")
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for ca in ("ca", "foreign"):
        openssl(*new, "-x509", "-days", 30, "-keyout", d / f"{ca}.key", "-out", d / f"{ca}.crt", "-subj", f"/CN={ca}")
    (d / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for name, ca in [("server", "ca"), ("car", "ca"), ("bus", "ca"), ("stranger", "foreign")]:
        openssl(*new, "-keyout", d / f"{name}.key", "-out", d / f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-days", 30, "-in", d / f"{name}.csr", "-CA", d / f"{ca}.crt", "-CAkey", d / f"{ca}.key",
                "-CAcreateserial", "-extfile", d / "san", "-out", d / f"{name}.crt")
    return d


class TlsServer(Server):
    """The update server alone, over TLS beside plain HTTP."""

    def __init__(self, folder, pki, *options):
        self.tls_port = free_port()
        self.pki = pki
        super().__init__(folder, "--listen-tls", f"127.0.0.1:{self.tls_port}", "--cert", pki / "server.crt", "--key",
                         pki / "server.key", *options)

    def start(self):
        super().start()
        wait_until(lambda: accepts(self.tls_port), 10, "the listener for TLS")
        return self

    def poll(self, name, tenant="DEFAULT", path="car", headers=None):
        context = ssl.create_default_context(cafile=self.pki / "ca.crt")
        if name:
            context.load_cert_chain(self.pki / f"{name}.crt", self.pki / f"{name}.key")
        return http_json("GET", f"https://127.0.0.1:{self.tls_port}/{tenant}/controller/v1/{path}", None, headers,
                         context=context)


@pytest.fixture
def tls_server(tmp_path, pki):
    s = TlsServer(tmp_path / "tls", pki, "--client-ca", pki / "ca.crt").start()
    yield s
    assert s.program.stop() == 0, s.program.text()[-3000:]


def test_a_device_proves_itself_by_its_certificate(tls_server):
    assert tls_server.poll("car")[0] == 401  # off by default, as all of hawkBit's ways
    tls_server.configure(CERTIFICATES, True)
    status, answer = tls_server.poll("car")
    assert status == 200
    assert answer["_links"]["configData"]["href"].startswith(f"https://127.0.0.1:{tls_server.tls_port}/DEFAULT/")
    assert tls_server.poll("car")[0] == 200
    assert tls_server.poll("bus")[0] == 401  # the name is the path's
    assert tls_server.poll("bus", path="bus")[0] == 200
    assert tls_server.poll(None)[0] == 401
    with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
        tls_server.poll("stranger", path="stranger")
    # tenants are asked each by itself
    assert tls_server.poll("car", tenant="OTHER")[0] == 401
    tls_server.configure(CERTIFICATES, False)
    assert tls_server.poll("car")[0] == 401


def test_a_tenant_may_name_the_certificates_it_lets_in(tls_server, pki):
    tls_server.configure(CERTIFICATES, True)
    print_of = {n: openssl("x509", "-in", pki / f"{n}.crt", "-noout", "-fingerprint", "-sha256").strip().partition("=")[2]
                for n in ("car", "bus")}
    assert tls_server.poll("car")[0] == 200
    tls_server.configure(FINGERPRINTS, print_of["bus"])
    assert tls_server.poll("car")[0] == 401
    assert tls_server.poll("bus", path="bus")[0] == 200
    for listed in (f"{print_of['bus']}, {print_of['car']}", print_of["car"].replace(":", "").lower()):
        tls_server.configure(FINGERPRINTS, listed)
        assert tls_server.poll("car")[0] == 200
    tls_server.configure(FINGERPRINTS, print_of["car"][:-3])
    assert tls_server.poll("car")[0] == 401


def test_our_settings_are_not_in_hawkbits_list(make_server):
    server = make_server()
    keys = server.expect(200, "GET", "/rest/v1/system/configs")
    assert not [k for k in keys if k.startswith("driveline.")]
    assert server.expect(200, "GET", f"/rest/v1/system/configs/{CERTIFICATES}")["value"] is False


def test_tls_needs_its_files(tmp_path, pki):
    for options, reason in [(["--key", pki / "server.key"], "--listen-tls needs --cert and --key"),
                            (["--cert", pki / "server.crt", "--key", pki / "car.key"], "cannot use private key"),
                            (["--cert", "/nonexistent", "--key", pki / "car.key"], "cannot use certificate")]:
        program = Program([DRIVELINE, "serve", "ota", "--listen-tls", f"127.0.0.1:{free_port()}", "--data",
                           tmp_path / "data", *options], tmp_path / "log")
        assert program.wait(20) == 1
        assert reason in program.text()


# ---- behind proxies ----------------------------------------------------------------------------------


PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "ota.example.com", "X-Forwarded-Port": "8443",
           "X-Forwarded-Prefix": "/fleet/"}


def origin_of(server, headers, device=False):
    if device:
        answer = http_json("GET", server.url + POLL, None, {**headers, "Authorization": "GatewayToken gate"})[1]
        return answer["_links"]["configData"]["href"].partition("/DEFAULT/")[0]
    answer = server.expect(200, "GET", "/rest/v1/softwaremoduletypes", headers=headers)
    return answer["content"][0]["_links"]["self"]["href"].partition("/rest/v1")[0]


@pytest.mark.parametrize("device", [False, True], ids=["management", "device"])
def test_links_are_as_the_proxys_client_asked(make_server, device):
    server = make_server("--forwarded")
    server.gateway()
    assert origin_of(server, {}, device) == server.url
    assert origin_of(server, PROXIED, device) == "https://ota.example.com:8443/fleet"
    assert origin_of(server, {}, device) == server.url  # also after an answer that was kept
    assert origin_of(server, {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "ota.example.com"}, device) == \
        "https://ota.example.com"
    assert origin_of(server, {"Forwarded": 'for=192.0.2.9;proto=https;host="ota.example.com:444"', **PROXIED}, device) == \
        "https://ota.example.com:444"
    # nothing that could break out of a link
    assert origin_of(server, {"X-Forwarded-Host": 'evil"/x', "X-Forwarded-Prefix": "//evil", "X-Forwarded-Proto": "ftp"},
                     device) == server.url


@pytest.mark.parametrize("options", [[], ["--forwarded", "--trusted-proxy", "192.0.2.1"]], ids=["off", "stranger"])
def test_links_ignore_what_is_not_to_be_believed(make_server, options):
    server = make_server(*options)
    server.gateway()
    for headers in (PROXIED, {"Forwarded": "proto=https;host=ota.example.com"}):
        assert origin_of(server, headers) == server.url
        assert origin_of(server, headers, device=True) == server.url


def test_guesses_count_for_the_client_and_not_for_its_proxy(make_server):
    server = make_server("--forwarded", "--login-failures", "2")
    first, second = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}
    for _ in range(2):
        server.expect(401, "GET", USERINFO, user="admin:guess", headers=first)
    server.expect(429, "GET", USERINFO, user="admin:guess", headers=first)
    server.expect(401, "GET", USERINFO, user="admin:guess", headers=second)
    server.expect(200, "GET", USERINFO, headers=second)


# ---- the command line --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """The update server as the cloud runs it, without the cloud's other parts."""
    data = tmp_path_factory.mktemp("cloud")
    (data / "driveline.conf").write_text("".join(
        f"{key} = 127.0.0.1:{free_port()}\n" for key in ("mqtt_listen", "http_listen", "https_listen", "viewer_listen")))
    (data / "secrets").mkdir()
    (data / "secrets/admin.password").write_text("the admin's own\n")
    program = Program([DRIVELINE, "serve", "ota", "--data", data], data / "ota.log")
    program.wait_for_text("update server on", 20)
    yield data
    assert program.stop() == 0, program.text()[-3000:]


def cloud_call(data, method, path, authorization, body=None):
    conf = dict(line.split(" = ") for line in (data / "driveline.conf").read_text().splitlines())
    return http_json(method, f"http://{conf['http_listen']}{path}", body, {"Authorization": authorization})


def basic(user):
    return "Basic " + base64.b64encode(user.encode()).decode()


def test_users_are_managed_from_the_command_line(cloud, tmp_path):
    made = run_verb(cloud, "user", "add", "--roles", "READ_TARGET,APPROVE_ROLLOUT", "ann").stdout.strip()
    assert len(made) == 32
    status, info = cloud_call(cloud, "GET", USERINFO, basic(f"ann:{made}"))
    assert status == 200 and info["permissions"] == ["READ_TARGET", "APPROVE_ROLLOUT"]
    assert run_verb(cloud, "user", "passwd", "--password-file", "-", "ann", stdin="out of a pipe\n").stdout == ""
    assert cloud_call(cloud, "GET", USERINFO, basic("ann:out of a pipe"))[0] == 200
    assert cloud_call(cloud, "GET", USERINFO, basic(f"ann:{made}"))[0] == 401
    secret = tmp_path / "secret"
    secret.write_text("out of a file\n")
    run_verb(cloud, "user", "add", "--tenant", "OTHER", "--password-file", secret, "--description", "of the others", "bob")
    assert cloud_call(cloud, "GET", USERINFO, basic("bob:out of a file"))[1]["tenant"] == "OTHER"
    run_verb(cloud, "user", "grant", "--roles", "ROLLOUT_ADMIN", "ann")
    assert cloud_call(cloud, "GET", USERINFO, basic("ann:out of a pipe"))[1]["permissions"] == ["ROLE_ROLLOUT_ADMIN"]
    listed = run_verb(cloud, "user", "list").stdout.splitlines()
    assert [line.split()[:3] for line in listed] == [["ann", "DEFAULT", "ROLE_ROLLOUT_ADMIN"], ["bob", "OTHER", "(of"]]
    assert [u["name"] for u in json.loads(run_verb(cloud, "user", "list", "--output", "json").stdout)] == ["ann", "bob"]
    for name in ("ann", "bob"):
        run_verb(cloud, "user", "remove", name)
    assert cloud_call(cloud, "GET", USERINFO, basic("ann:out of a pipe"))[0] == 401


def test_mistakes_with_users_are_explained(cloud):
    for words, reason in [(["user", "remove", "nobody"], "there is no user 'nobody'"),
                          (["user", "add", "--roles", "NOTHING", "x"], "'NOTHING' is no role or permission"),
                          (["user", "add", "admin"], "exists already"),
                          (["user", "add", "--prompt", "x"], "--prompt needs a terminal"),
                          (["token", "create", "--owner", "nobody", "x"], "User with given identifier {nobody}")]:
        done = run_verb(cloud, *words, check=False)
        assert done.returncode == 1 and reason in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_tokens_are_managed_from_the_command_line(cloud):
    token = run_verb(cloud, "token", "create", "--roles", "READ_TARGET", "--days", "7", "ci").stdout.strip()
    status, info = cloud_call(cloud, "GET", USERINFO, f"Bearer {token}")
    assert status == 200 and info == {"tenant": "DEFAULT", "username": "admin", "permissions": ["READ_TARGET"], "token": "ci"}
    (shown,) = json.loads(run_verb(cloud, "token", "list", "--output", "json").stdout)
    assert shown["expiresAt"] - shown["createdAt"] == pytest.approx(7 * 86_400_000, abs=60_000)
    assert "only READ_TARGET" in run_verb(cloud, "token", "list").stdout
    run_verb(cloud, "token", "revoke", shown["id"])
    assert cloud_call(cloud, "GET", USERINFO, f"Bearer {token}")[0] == 401
    assert run_verb(cloud, "token", "list").stdout == ""
