# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The update server's management page in a browser: the real server, 100 000 targets, and devices over DDI."""
import base64
import hashlib
import http.client
import json
import os
import pathlib

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from page import DESKTOP, PHONE, Page
from conftest import DRIVELINE, Program, free_ports, wait_until

TARGETS = 100000
BATCH = 5000
SHOTS = os.environ.get("DRIVELINE_SHOTS")
HTML = '<img src=x onerror="document.title=1"><b>bold</b>'
GATEWAY = {"Authorization": "GatewayToken gateway"}


class Scene:
    """A server with 100 000 targets car-000000…, a module, a complete set, and a gateway token."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "data"
        self.data.mkdir()
        self.port, self.viewer_port = free_ports(2)
        (self.data / "driveline.conf").write_text(
            f"http_listen = 127.0.0.1:{self.port}\nviewer_listen = 127.0.0.1:{self.viewer_port}\n")
        self.base = f"http://127.0.0.1:{self.port}"
        self.server = Program(
            [DRIVELINE, "serve", "ota", "--listen", f"127.0.0.1:{self.port}", "--data", self.data,
             "--user", "admin:admin:DEFAULT:TENANT_ADMIN", "--user", "reader:reader:DEFAULT:READ_TARGET,READ_ROLLOUT",
             "--user", "nobody:nobody:DEFAULT:"], folder / "ota.log")
        self.server.wait_for_text("update server on")
        self.link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for first in range(0, TARGETS, BATCH):
            self.call("POST", "targets", [{"controllerId": f"car-{n:06d}", "name": f"Car {n}"} for n in range(first, first + BATCH)])
        self.call("PUT", "system/configs", {"authentication.gatewaytoken.enabled": True, "authentication.gatewaytoken.key": "gateway"})
        self.module = self.call("POST", "softwaremodules", [{"name": "brakes", "version": "1.0", "type": "application"}])[0]["id"]
        self.set = self.call("POST", "distributionsets", [
            {"name": "brakes", "version": "1.0", "type": "app", "modules": [{"id": self.module}]}])[0]["id"]

        self.rollout = self.call("POST", "rollouts", {"name": "resting", "distributionSetId": self.set, "targetFilterQuery": "id==car-09*", "amountGroups": 5})["id"]

    def raw(self, method, path, body=None, headers=None):
        self.link.request(method, path, body, headers or {})
        answer = self.link.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    def send(self, method, path, body, headers):
        data = None if body is None else json.dumps(body)
        status, _, text = self.raw(method, path, data, {**headers, **({"Content-Type": "application/json"} if data else {})})
        assert status < 300, (method, path, status, text)
        return json.loads(text) if text else None

    def call(self, method, path, body=None):
        login = base64.b64encode(b"admin:admin").decode()
        return self.send(method, f"/rest/v1/{path}", body, {"Authorization": f"Basic {login}"})

    def device(self, name, path="", body=None, method="GET"):
        return self.send(method, f"/DEFAULT/controller/v1/{name}{path}", body, GATEWAY)

    # Polls once; a device that is offered something does it and ends as told. True if it was offered something.
    def obey(self, name, result="success", *said):
        link = (self.device(name).get("_links") or {}).get("deploymentBase")
        if not link:
            return False
        action = link["href"].split("/")[-1].split("?")[0]
        for execution, end in (("proceeding", "none"), ("closed", result)):
            self.device(name, f"/deploymentBase/{action}/feedback",
                        {"status": {"execution": execution, "result": {"finished": end}, "details": list(said)}}, "POST")
        return True

    def close(self):
        self.link.close()
        assert self.server.stop() == 0, self.server.text()


class OtaPage(Page):
    def open(self, address):
        self.driver.get("about:blank")
        self.driver.get(f"{self.base}/ui/#{address}")
        self.wait("document.querySelector('#main').children.length > 0")

    def log_in(self, name, password=None):
        self.wait("document.querySelector('#login-name') !== null")
        for field, text in (("#login-name", name), ("#login-password", password or name)):
            box = self.find(field)
            box.clear()
            box.send_keys(text)
        self.find(".login button").click()

    def begin(self, address="/targets", user="admin"):
        """A new tab's state: logged in as `user`, at `address`."""
        self.open("/")
        self.js("sessionStorage.clear()")
        self.open(address)
        self.log_in(user)
        self.wait("page.view !== undefined || page.text !== undefined")

    def wait_view(self, view):
        """The view is there, with its details where it has some."""
        self.wait(f"(page.view || '') === '{view.split('/')[1]}' && document.querySelector('main h1')"
                  " && document.querySelector('main').getAttribute('aria-busy') !== 'true'")
        self.wait("!document.querySelector('main').innerText.includes('Loading…')")
        if len(view.split("/")) > 2:
            self.wait("document.querySelector('.side .card, .lane, .plan') !== null")

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, label, within="body"):
        """Clicks the button or link of that text."""
        def there():
            return self.js("const [within, label] = arguments; return [...document.querySelectorAll(`${within} button, ${within} a`)]"
                           ".find((b) => b.textContent.trim() === label && b.offsetParent !== null && !b.disabled)", within, label)
        wait_until(there, 10, f"a button '{label}'").click()

    def type(self, name, text, within="dialog"):
        selector = f"{within} [name='{name}']"
        wait_until(lambda: self.js("return document.querySelector(arguments[0])", selector), 10, f"the field {name}")
        box = self.find(selector)
        if box.tag_name == "select":
            self.js("const [box, text] = arguments; box.value = [...box.options].find((o) => o.text.includes(text)).value;"
                    "box.dispatchEvent(new Event('change'))", box, text)
            return
        box.clear()
        box.send_keys(text)

    def search(self, text):
        box = self.find("#search")
        box.clear()
        box.send_keys(text, Keys.ENTER)

    def rows(self):
        return self.js("return [...document.querySelectorAll('.list tbody tr')].map((r) => r.dataset.key)")

    def row(self, key):
        return self.js("const r = document.querySelector(`.list tbody tr[data-key='${arguments[0]}']`); return r && r.innerText", key)

    def focused(self):
        return self.js("const e = document.activeElement; return e.textContent.trim() || e.getAttribute('aria-label') || e.id || e.tagName")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    made = Scene(tmp_path_factory.mktemp("ota-page"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def page(scene):
    made = OtaPage(scene.base)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def start_clean(page):
    page.size(DESKTOP)
    page.complaints()


def shot(page, tmp_path, name):
    page.shot(pathlib.Path(SHOTS or tmp_path) / f"{name}.png")


def test_a_wrong_password_is_told_and_nothing_is_kept(page, scene):
    page.open("/")
    page.log_in("admin", "wrong")
    page.wait_text(".login .form-error", "does not accept this name and password")
    page.complaints()  # the browser reports the 401 itself
    page.log_in("admin")
    page.wait("page.view === 'targets'")
    assert "admin" not in page.driver.current_url
    assert page.js("return Object.values(localStorage).join() + document.cookie").find("YWRtaW4") == -1
    page.press("Log out")
    page.wait("document.querySelector('#login-name') !== null")
    assert page.js("return sessionStorage.length") == 0
    page.open("/targets")
    page.wait("document.querySelector('#login-name') !== null")
    assert page.complaints() == []


def test_the_last_of_100000_targets_is_a_click_away(page, scene):
    page.begin()
    page.wait_text(".pager .where", "1–50 of 100,000")
    page.wait_text(".chips-row", "Unknown 100,000")
    page.press("Last", ".pager")
    page.wait_text(".pager .where", "99,951–100,000 of 100,000")
    assert page.rows()[-1] == "car-099999"
    page.press("Id", "thead")
    page.press("Id ▴", "thead")
    wait_until(lambda: page.rows()[:1] == ["car-099999"], 10, "the list in descending order")
    assert page.js("return document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "descending"
    assert page.js("return document.querySelectorAll('.list tbody tr').length") == 50
    address = page.driver.current_url.split("#")[1]
    page.open(address)
    wait_until(lambda: page.rows()[:1] == ["car-099999"], 10, "the same list at its permalink")
    assert page.complaints() == []


def test_a_filter_is_a_word_or_a_query_and_says_what_is_wrong_with_it(page, scene):
    page.begin()
    page.search("car-0123")
    page.wait_text(".pager .where", "of 100")
    page.search("id==car-0000*;name!='Car 7'")
    page.wait_text(".pager .where", "of 99")
    page.complaints()
    page.search("nonsense==1")
    wait_until(lambda: page.text("#search-error"), 10, "the server's word on an unknown field")
    page.search("name=='x")
    wait_until(lambda: page.js("return document.querySelector('#search').getAttribute('aria-invalid')") == "true", 10, "the field to be marked")
    assert all("400" in text for text in page.complaints())
    page.search("id==car-00001*")
    page.wait_text(".pager .where", "1–10 of 10")
    assert page.text("#search-error") == ""
    page.press("Save filter")
    page.type("name", "first cars")
    page.press("Save", "dialog")
    wait_until(lambda: [f["query"] for f in scene.call("GET", "targetfilters")["content"]] == ["id==car-00001*"], 10, "the filter to be saved")


def test_selected_targets_get_a_set_and_their_actions_tell_what_the_device_said(page, scene, tmp_path):
    page.begin("/targets?q=id%3D%3Dcar-00001*")
    page.wait_text(".pager .where", "of 10")
    page.find(".list thead .pick input").click()
    page.wait_text(".bulk", "10 selected")
    page.press("Assign set", ".bulk")
    page.type("set", "brakes 1.0")
    page.type("type", "Soft")
    page.press("Assign", "dialog")
    page.wait_text("#toast", "10 of 10 assigned")
    wait_until(lambda: "pending" in page.row("car-000010") and "brakes 1.0" in page.row("car-000010"), 10, "the list to show it")
    scene.device("car-000010", "/configData", {"data": {"note": HTML}}, "PUT")
    assert scene.obey("car-000010", "success", HTML)
    page.press("car-000010")
    wait_until(lambda: "finished" in (page.text("[aria-label='Actions']") or ""), 10, "the pane to show the action")
    page.find(".action-line").click()
    page.wait_text(".history", HTML)
    assert HTML in page.text("[aria-label='Attributes']")
    assert page.js("return [document.querySelectorAll('main img, main b').length, document.title]") == \
        [page.js("return document.querySelectorAll('main .bulk b, .action-line b').length"), "Targets · Driveline updates"]
    shot(page, tmp_path, "ota-target")
    page.press("Close")
    page.press("car-000011")
    wait_until(lambda: "soft" in (page.text("[aria-label='Actions']") or ""), 10, "the other action")
    page.press("Force", "[aria-label='Actions']")
    wait_until(lambda: "forced" in page.text("[aria-label='Actions']"), 10, "the action to be forced")
    page.press("Cancel", "[aria-label='Actions']")
    page.press("Yes", "dialog")
    wait_until(lambda: "canceling" in page.text("[aria-label='Actions']"), 10, "the action to be cancelled")
    page.press("Force quit", "[aria-label='Actions']")
    page.press("Yes", "dialog")
    wait_until(lambda: "canceled" in page.text("[aria-label='Actions']"), 10, "the action to be quit")
    assert page.complaints() == []


def test_an_update_waits_for_a_word_and_gets_it(page, scene):
    scene.call("PUT", "system/configs/user.confirmation.flow.enabled", {"value": True})
    try:
        page.begin("/targets/car-080000")
        page.wait_text(".side", "each update waits for a word")
        page.press("Assign set", ".side")
        page.type("set", "brakes 1.0")
        page.find("dialog [name='confirmationRequired']").click()
        page.press("Assign", "dialog")
        page.wait_text("[aria-label='Actions']", "wait for confirmation")
        page.press("Confirm", "[aria-label='Actions']")
        page.type("detail", "seen by the owner")
        page.press("Confirm", "dialog")
        page.wait_text("[aria-label='Actions']", "running")
        page.find(".action-line").click()
        page.wait_text(".history", "seen by the owner")
        page.press("Switch on")
        page.type("initiator", "the owner")
        page.press("Switch on", "dialog")
        page.wait_text("[aria-label='Automatic confirmation']", "the owner")
        assert scene.call("GET", "targets/car-080000/autoConfirm")["active"]
        page.press("Add", "[aria-label='Metadata']")
        page.type("key", "depot")
        page.type("value", "<i>north</i>")
        page.press("Save", "dialog")
        page.wait_text("[aria-label='Metadata']", "<i>north</i>")
        assert page.complaints() == []
    finally:
        scene.call("PUT", "system/configs/user.confirmation.flow.enabled", {"value": False})


def test_an_upload_shows_progress_and_the_server_checks_its_sum(page, scene, tmp_path):
    big = tmp_path / "firmware.bin"
    big.write_bytes(os.urandom(1 << 20) * 8)
    module = scene.call("POST", "softwaremodules", [{"name": "firmware", "version": "2.0", "type": "os"}])[0]["id"]
    page.begin(f"/modules/{module}")
    wait_until(lambda: page.js("return document.querySelector('#upload-file') !== null"), 10, "the place for files")
    page.driver.execute_cdp_cmd("Network.enable", {})
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 12 << 20}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", slow)
    page.find("#upload-file").send_keys(str(big))
    page.wait_text(".upload", "left", 30)
    page.wait_text(".upload", "checked by the server", 30)
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    seen = page.state("page.pane.area.uploads[0].seen")
    assert len(seen) >= 2 and seen == sorted(seen) and 0 < seen[0] < seen[-1] == 1, seen
    stored = scene.call("GET", f"softwaremodules/{module}/artifacts")[0]
    assert stored["size"] == big.stat().st_size
    assert stored["hashes"]["sha256"].startswith(page.text(".upload").split("SHA-256 ")[1][:12])
    page.wait_text("[aria-label='Artifacts']", "firmware.bin")
    assert page.complaints() == []
    page.find("#upload-file").send_keys(str(big))
    wait_until(lambda: "There is one of that name already" in page.js("return [...document.querySelectorAll('.upload')].map((u) => u.innerText).join()"), 30, "the refusal of a duplicate")
    page.complaints()
    page.press("Lock")
    page.wait_text(".side", "unlock it to add files")
    shot(page, tmp_path, "ota-upload")
    # The sum is that of FIPS 180-4, whatever the length of the file.
    assert page.js("return import('/ui/sha256.js').then(({Sha256}) => [0, 3, 55, 56, 64, 1000].map((n) => {"
                   "const s = new Sha256(); for (let i = 0; i < n; i++) s.add(new Uint8Array([97])); return s.hex(); }))") == \
        [hashlib.sha256(b"a" * n).hexdigest() for n in (0, 3, 55, 56, 64, 1000)]


def test_a_rollout_is_planned_started_and_watched_and_its_failures_stay_visible(page, scene, tmp_path):
    page.begin("/rollouts/new?q=id%3D%3Dcar-05000*")
    page.wait_text(".plan", "10 targets match.")
    page.type("name", "spring", ".plan")
    page.type("kind", "own share", ".plan")
    page.wait_text(".plan", "Targets: 1 · 9.")
    page.js("const e = document.querySelectorAll(\".group-row [name='percent']\"); [40, 60].forEach((n, i) => { e[i].value = n; e[i].dispatchEvent(new Event('input')); })")
    page.wait_text(".plan", "Targets: 4 · 6.")
    page.type("error", "60", ".plan")
    page.press("Create the rollout")
    page.wait("page.rollout && page.rollout.status === 'ready'", 20)
    assert page.js("return [...document.querySelectorAll('.lane .link')].map((b) => b.textContent)") == ["group-1", "group-2"]
    marks = page.js("return [...document.querySelectorAll('.lanes-list .threshold')].map((m) => m.style.left)")
    assert marks == ["50%", "40%", "50%", "40%"]
    page.press("Start")
    page.wait("page.rollout.status === 'running'", 20)
    assert scene.obey("car-050000", "success") and scene.obey("car-050001", "failure")
    page.wait("page.groups.content[0].totalTargetsPerStatus.error === 1", 20)
    page.wait_text(".why", "group-1: 1 of 4 finished (25 %); at 50 % group-2 starts.")
    shot(page, tmp_path, "ota-rollout")
    page.press("Pause")
    page.wait("page.rollout.status === 'paused'")
    page.press("Resume")
    page.wait("page.rollout.status === 'running'")
    open_cars = {f"car-{n:06d}" for n in range(50002, 50010)}

    def all_done():
        open_cars.difference_update([name for name in sorted(open_cars) if scene.obey(name)])
        return not open_cars
    wait_until(all_done, 30, "each car to be offered the set", 0.3)
    page.wait("page.rollout.status === 'finished'", 20)
    page.wait_text(".head", "finished, 1 failed")
    assert page.js("return document.querySelector('.head .badge').dataset.state") == "warn"
    assert page.js("return [...document.querySelectorAll('.lanes-list .badge')].map((b) => b.dataset.state)") == ["warn", "ok"]
    page.press("group-1")
    page.wait_text(".members:not([hidden])", "car-050001")
    assert page.js("return [...document.querySelectorAll('.head button')].map((b) => b.textContent)") == ["Retry the failed ones", "Edit", "Delete"]
    page.press("Delete")
    page.type("typed", "another")
    page.press("Delete", "dialog")
    page.wait_text("dialog .form-error", "not its name")
    page.type("typed", "spring")
    page.press("Delete", "dialog")
    page.wait_text("#toast", "is being deleted")
    assert page.complaints() == []


def test_a_rollout_is_approved_or_denied_and_stopped(page, scene):
    scene.call("PUT", "system/configs/rollout.approval.enabled", {"value": True})
    try:
        made = [scene.call("POST", "rollouts", {"name": f"asked {n}", "distributionSetId": scene.set, "targetFilterQuery": "id==car-0750*", "amountGroups": 2})["id"] for n in (1, 2)]
        page.begin(f"/rollouts/{made[0]}")
        page.wait("page.rollout && page.rollout.status === 'waiting_for_approval'", 20)
        page.wait_text(".why", "somebody who may approve")
        page.press("Approve")
        page.type("remark", "after the holidays")
        page.press("Approve", "dialog")
        page.wait("page.rollout.status === 'ready'", 20)
        page.wait_text("main", "admin: after the holidays")
        page.press("Stop")
        page.press("Stop", "dialog")
        page.wait("page.rollout.status === 'stopped'", 20)
        assert page.js("return [...document.querySelectorAll('.head button')].map((b) => b.textContent)") == ["Edit", "Delete"]
        page.open(f"/rollouts/{made[1]}")
        page.wait("page.rollout && page.rollout.status === 'waiting_for_approval'", 20)
        page.press("Deny")
        page.press("Deny", "dialog")
        page.wait("page.rollout.status === 'approval_denied'", 20)
        assert page.complaints() == []
    finally:
        scene.call("PUT", "system/configs/rollout.approval.enabled", {"value": False})


def test_a_rollout_can_wait_for_the_night(page, scene, tmp_path):
    page.begin("/rollouts/new?q=id%3D%3Dcar-0700*")
    page.wait_text(".plan", "100 targets match.")
    page.type("name", "by night", ".plan")
    page.type("type", "Time-forced", ".plan")
    page.js("const e = document.querySelector(\".plan [name='forcetime']\"); e.value = '2030-01-02T03:04'; e.dispatchEvent(new Event('input'))")
    page.find(".plan [name='startWindow']").click()
    page.type("startWindow.schedule", "0 0 2 ? * SUN", ".plan")
    page.type("actionTimeout", "36:00:00", ".plan")
    page.type("weight", "700", ".plan")
    page.type("amount", "4", ".plan")
    shot(page, tmp_path, "ota-plan")
    page.press("Create the rollout")
    page.wait("page.rollout && page.rollout.status === 'ready'", 20)
    made = scene.call("GET", f"rollouts/{page.state('page.key')}")
    assert made["startWindow"] == {"schedule": "0 0 2 ? * SUN", "duration": "01:00:00", "timezone": "+00:00"}
    assert (made["actionTimeout"], made["weight"], made["type"], made["totalGroups"]) == ("36:00:00", 700, "timeforced", 4)
    assert "maintenanceWindow" not in made
    assert made["forcetime"] == page.js("return new Date('2030-01-02T03:04').getTime()")
    page.wait_text("main", "0 0 2 ? * SUN for 01:00:00")
    assert page.complaints() == []


def test_the_fleets_page_does_not_paint_a_failed_rollout_green(page, scene):
    rollout = scene.call("POST", "rollouts", {"name": "doomed", "distributionSetId": scene.set, "targetFilterQuery": "id==car-060000", "amountGroups": 1})["id"]
    wait_until(lambda: scene.call("GET", f"rollouts/{rollout}")["status"] == "ready", 20, "the rollout to be ready")
    scene.call("POST", f"rollouts/{rollout}/start")
    wait_until(lambda: scene.obey("car-060000", "failure"), 20, "the car to be offered the set", 0.2)
    wait_until(lambda: scene.call("GET", f"rollouts/{rollout}")["status"] in ("finished", "paused"), 20, "the rollout to end")
    if scene.call("GET", f"rollouts/{rollout}")["status"] == "paused":
        scene.call("POST", f"rollouts/{rollout}/resume")
        wait_until(lambda: scene.call("GET", f"rollouts/{rollout}")["status"] == "finished", 20, "the rollout to end")
    viewer = Program([DRIVELINE, "serve", "viewer", "--data", scene.data], scene.folder / "viewer.log")
    try:
        viewer.wait_for_text("ready: ")
        page.driver.get(f"http://127.0.0.1:{scene.viewer_port}/#/rollouts")
        page.wait_text("[aria-label='Rollout doomed']", "finished, 1 failed", 20)
        assert page.js("return document.querySelector(\"[aria-label='Rollout doomed'] .badge\").dataset.state") == "bad"
        page.wait(f"document.querySelector('#updates').href === '{scene.base}/ui/'")
        assert page.js("return document.querySelector(\"[aria-label='Rollout doomed'] a\").href") == f"{scene.base}/ui/#/rollouts/{rollout}"
    finally:
        assert viewer.stop() == 0, viewer.text()


def test_a_user_sees_no_button_that_the_server_would_refuse(page, scene):
    page.begin("/targets", "reader")
    page.wait_text(".pager .where", "of 100,000")
    assert page.js("return [...document.querySelectorAll('#nav a')].map((a) => a.textContent)") == ["Targets", "Filters", "Rollouts", "Actions"]
    for label in ("New target", "Roll out to these", "Save filter"):
        assert label not in page.text("main")
    assert not page.js("return document.querySelector('.pick')")
    page.press("car-000000")
    wait_until(lambda: "Unknown" not in (page.text(".side h2") or "Unknown"), 10, "the pane")
    buttons = page.js("return [...document.querySelectorAll('.side button, .side a.button')].map((b) => b.textContent)")
    assert buttons == ["Close"]
    assert "Security token" not in page.text(".side")
    page.open("/settings")
    page.wait_text("main", "no permission to see this")
    page.begin("/", "nobody")
    page.wait_text("main", "no permission for anything")
    assert page.complaints() == []


def test_settings_are_checked_before_and_by_the_server(page, scene):
    page.begin("/settings")
    page.wait("document.querySelectorAll('.setting').length > 25")
    assert page.complaints() == []

    def save(key, value):
        box = page.driver.find_element(By.ID, f"setting-{key}")
        box.clear()
        box.send_keys(value, Keys.ENTER)
        return lambda: page.js("return document.getElementById(arguments[0]).textContent", f"setting-{key}-error")
    wait_until(save("pollingOverdueTime", "soon"), 10, "the page to refuse what is no duration")
    page.complaints()
    wait_until(save("pollingTime", "00:00:01"), 10, "the server's refusal")
    assert all("400" in text for text in page.complaints())
    save("pollingTime", "00:01:00")
    wait_until(lambda: scene.call("GET", "system/configs/pollingTime")["value"] == "00:01:00", 10, "the interval to be stored")
    scene.call("DELETE", "system/configs/pollingTime")


def test_a_set_is_made_filled_locked_and_invalidated(page, scene):
    page.begin("/sets")
    page.press("New set")
    page.type("name", "wipers")
    page.type("version", "3.1")
    page.type("type", "App(s) only")
    page.press("Create", "dialog")
    page.wait_text(".side", "can’t be assigned yet")
    page.press("Add", "[aria-label='Modules']")
    page.type("module", "brakes 1.0")
    page.press("Add", "dialog")
    wait_until(lambda: "brakes 1.0" in page.text("[aria-label='Modules']"), 10, "the module in the set")
    page.press("Lock")
    page.wait_text(".side .card-head", "locked")
    page.press("Invalidate")
    page.press("Invalidate for good", "dialog")
    page.wait_text(".side .card-head", "invalid")
    assert [s["valid"] for s in scene.call("GET", "distributionsets?q=name==wipers")["content"]] == [False]
    assert page.complaints() == []


def test_the_keyboard_is_enough(page, scene):
    page.begin("/targets")
    page.open("/targets?q=id%3D%3Dcar-00002*")
    page.wait_text(".pager .where", "of 10")
    # From the top: a browser remembers where a focus that is gone was.
    page.js("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")

    def press(*keys):
        ActionChains(page.driver).send_keys(*keys).perform()
    press(Keys.TAB)
    assert page.focused() == "Skip to content"
    press(Keys.ENTER, Keys.TAB)
    walked = []
    for _ in range(60):
        walked.append(page.focused())
        assert page.js("const e = document.activeElement; return e.matches(':focus-visible')"), walked
        if walked[-1] == "car-000020":
            break
        press(Keys.TAB)
    assert walked[-1] == "car-000020" and "search" in walked and "Select car-000020" in walked, walked
    press(Keys.ENTER)
    wait_until(lambda: page.js("return document.activeElement.classList.contains('close')"), 10, "the focus in the pane")
    press(Keys.TAB, Keys.ENTER)
    wait_until(lambda: page.js("return document.querySelector('dialog') !== null"), 10, "the dialog")
    assert page.js("return document.activeElement.closest('dialog') !== null")
    press(Keys.ESCAPE)
    wait_until(lambda: page.js("return document.querySelector('dialog') === null"), 10, "the dialog to go")
    assert page.focused() == "Assign set"
    unlabelled = page.js("return [...document.querySelectorAll('input, select, textarea, button')].filter((e) => e.offsetParent && !e.labels?.length"
                         " && !e.getAttribute('aria-label') && !e.textContent.trim()).map((e) => e.outerHTML)")
    assert unlabelled == []
    assert page.complaints() == []


def test_every_view_fits_a_phone_light_and_dark(page, scene, tmp_path):
    views = ["/targets", "/targets/car-000010", "/filters", "/sets", f"/sets/{scene.set}", "/modules", f"/modules/{scene.module}", "/rollouts",
             f"/rollouts/{scene.rollout}", "/rollouts/new", "/actions", "/settings"]
    page.begin()
    page.requests()
    for dark in (True, False):
        page.size(PHONE, dark)
        for view in views:
            page.js("location.hash = arguments[0]", view)
            page.wait_view(view)
            shot(page, tmp_path, f"ota{view.replace('/', '-')}-{'dark' if dark else 'light'}")
            assert page.js("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (view, page.js(
                "return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1"
                " && !e.closest('.scroll, nav, .chips-row')).map((e) => e.outerHTML.slice(0, 90))"))
    assert page.complaints() == []
    assert {a for a in page.requests() if not a.startswith((scene.base, "about:", "data:", "chrome"))} == set()


def test_the_page_needs_no_credentials_and_lets_nothing_in(page, scene):
    status, headers, body = scene.raw("GET", "/ui/")
    policy = headers["Content-Security-Policy"]
    assert status == 200 and "default-src 'none'" in policy and "unsafe" not in policy and "require-trusted-types-for 'script'" in policy
    assert b"<script>" not in body and b"style=" not in body
    assert scene.raw("GET", "/", headers={"Accept": "text/html,*/*;q=0.8"})[1]["Location"] == "/ui/"
    assert scene.raw("GET", "/", headers={"Accept": "application/json"})[1]["Location"] == "/swagger-ui/index.html"
    assert scene.raw("GET", "/ui")[1]["Location"] == "/ui/"
    assert scene.raw("GET", "/ui/../ota.db")[0] == 400
    assert scene.raw("GET", "/ui/nothing.js")[0] == 404
    assert scene.raw("POST", "/ui/app.js", "x")[0] == 404
    assert scene.raw("GET", "/ui/app.js", headers={"If-None-Match": scene.raw("GET", "/ui/app.js")[1]["ETag"]})[0] == 304


def test_a_lost_server_is_told_and_found_again(page, scene, tmp_path):
    page.begin("/targets?q=id%3D%3Dcar-00003*")
    page.wait_text(".pager .where", "of 10")
    page.driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    wait_until(lambda: page.js("return !document.querySelector('#lost').hidden"), 15, "the page to say that the server is lost")
    assert "car-000030" in page.rows()
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    wait_until(lambda: page.js("return document.querySelector('#lost').hidden"), 15, "the page to find it again")
    page.complaints()
