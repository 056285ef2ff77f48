# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The page in a browser: the real viewer and the real store on a stream that the test writes."""
import datetime
import http.client
import json
import math
import os
import pathlib
import subprocess
import threading
import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from page import DESKTOP, PHONE, Page
from conftest import BUILD, DRIVELINE, Program, free_ports, wait_until

FEED = BUILD / "tests/browser/feed"
SHOTS = os.environ.get("DRIVELINE_SHOTS")
CAR = "VIN-PAGE-1"


def iso(ms):
    at = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def now_ms():
    return int(time.time() * 1000)


class Driver:
    """A car as the stream sees it. Version 1.1.0 and later brings back twice the energy and brakes half."""

    def __init__(self, feed, name):
        self.feed, self.name = feed, name
        self.sequence, self.energy, self.version, self.driven = 0, 0.0, "1.0.0", 0

    def send(self, at, kind, body):
        self.sequence += 1
        message = {"DeviceID": self.name, "Timestamp": iso(at), "Sequence": self.sequence,
                   "SoftwareVersion": self.version, **body}
        self.feed.append(at, f"device/{self.name}/{kind}", message)

    def telemetry(self, at):
        t = self.driven = self.driven + 1
        new = self.version != "1.0.0"
        speed = max(0.0, 45 + 40 * math.sin(t / 9))
        brake = max(0.0, -20 * math.cos(t / 9)) * (0.5 if new else 1)
        self.energy += 2.0 if new else 1.0
        wheels = {f"Wheel{i}": {"Speed": round(speed + i / 20, 2), "Pressure": round(brake, 3), "FluidTemperature": 41.5,
                                "DiskTemperature": (70.0 if new else 110.0) + i} for i in range(1, 5)}
        self.send(at, "telemetry", {
            "Engine": {"Speed": round(speed, 3), "Acceleration": round(1.5 * math.cos(t / 9), 3), "Power": round(speed / 4, 2)},
            "Battery": {"StateOfCharge": round(80 - t / 500, 4), "BatteryTemperature": 25.5, "EnergyAdded": self.energy},
            "AirConditioning": {f"Zone{i}": {"State": t % 60 < 40, "Temperature": 21.5 + i / 10, "Humidity": 44 + i} for i in (1, 2, 3)},
            "Airbag": {f"Seat{i}": {"State": True, "Triggered": False, "Active": i < 3, "SeatbeltFastened": i < 3,
                                    "PassengerPresent": i < 3} for i in range(1, 6)},
            "HeatSeats": {f"HeatedSeat{i}": {"State": i == 1, "Temperature": 20.0 + i} for i in (1, 2, 3)},
            "ABS": {"BrakePedalPressure": brake, "BrakeActualPressure": brake, "TractionControl": t % 31 < 3, **wheels},
        })

    def event(self, at, action, state, source, target, cause=""):
        self.send(at, "update", {"Update": {"Action": action, "State": state, "From": source, "To": target, "Cause": cause}})


class Feed:
    def __init__(self, data):
        self.child = subprocess.Popen([str(FEED), str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()

    def append(self, at, topic, message):
        with self.lock:
            self.child.stdin.write(f"{at} {topic} {json.dumps(message)}\n")
            self.child.stdin.flush()
            assert self.child.stdout.readline().strip().isdigit(), "feed ended"

    def close(self):
        self.child.stdin.close()
        self.child.wait(10)


class Scene:
    """A store, a viewer and one car with five minutes behind it, of which the last two on 1.1.0."""

    GAP = 2400

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "cloud"
        self.data.mkdir()
        ports = free_ports(4)
        keys = ("mqtt_listen", "http_listen", "https_listen", "viewer_listen")
        self.port = ports[3]
        (self.data / "driveline.conf").write_text("".join(f"{k} = 127.0.0.1:{p}\n" for k, p in zip(keys, ports)))
        self.base = f"http://127.0.0.1:{self.port}"
        self.feed = Feed(self.data)
        self.car = Driver(self.feed, CAR)
        self.fill()
        self.store = Program([DRIVELINE, "serve", "store", "--data", self.data], folder / "store.log")
        self.start_viewer()
        wait_until(lambda: self.raw("/api/device?device=" + CAR)[0] == 200, 20, "the store to hold the car")
        wait_until(lambda: self.get("/api/device?device=" + CAR)["stored"]["sequence"] == self.car.sequence, 20, "all of it")
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.drive, daemon=True)
        self.thread.start()

    def fill(self):
        car, start = self.car, now_ms() - 300000
        for second in range(180):
            car.telemetry(start + second * 1000)
        at = start + 179000
        car.event(at + 100, "7", "downloading", "1.0.0", "1.1.0")
        car.event(at + 300, "7", "installing", "1.0.0", "1.1.0")
        car.version = "1.1.0"
        at += self.GAP
        car.event(at - 100, "7", "trial", "1.0.0", "1.1.0")
        while at < now_ms() - 1500:
            car.telemetry(at)
            if car.driven == 190:
                car.event(at + 10, "7", "confirmed", "1.0.0", "1.1.0")
            at += 1000

    def drive(self):
        while not self.stopped.wait(0.5):
            self.car.telemetry(now_ms())

    def start_viewer(self):
        self.viewer = Program([DRIVELINE, "serve", "viewer", "--data", self.data], self.folder / "viewer.log")
        self.viewer.wait_for_text("ready: ")

    def get(self, path, host=None):
        status, _, body = self.raw(path, host)
        assert status == 200, (status, body)
        return json.loads(body)

    def raw(self, path, host=None, headers=None):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        link.request("GET", path, headers={**({"Host": host} if host else {}), **(headers or {})})
        answer = link.getresponse()
        body = answer.read()
        link.close()
        return answer.status, dict(answer.getheaders()), body

    def close(self):
        self.stopped.set()
        self.thread.join(10)
        for program in (self.viewer, self.store):
            assert program.stop() == 0, program.text()
        self.feed.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    made = Scene(tmp_path_factory.mktemp("page"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def page(scene):
    made = Page(scene.base)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def start_clean(page):
    page.size(DESKTOP)
    page.complaints()


def shot(page, tmp_path, name):
    page.shot(pathlib.Path(SHOTS or tmp_path) / f"{name}.png")


def test_charts_of_all_subsystems_show_what_is_stored(page, scene):
    page.open_car(CAR)
    titles = page.js("return [...document.querySelectorAll('.chart-card h2')].map((e) => e.textContent)")
    assert titles[:3] == ["Battery", "ABS", "Engine"]
    assert sorted(titles[3:]) == ["Air conditioning", "Airbag", "Heated seats"]
    energy = page.chart("EnergyAdded")
    assert len(energy) > 250
    assert energy[0][1] < 40 and energy[-1][1] > 300
    speeds = dict(map(tuple, page.chart("Wheel1.Speed")))
    series = scene.get(f"/api/series?device={CAR}&table=ABS&columns=Wheel1.Speed&from={int(energy[0][0])}&points=4000")
    stored = dict(zip(series["times"], series["values"][0]))
    same = [t for t in speeds if int(t) in stored]
    assert len(same) > 200 and all(speeds[t] == pytest.approx(stored[int(t)]) for t in same)


def test_charts_move_within_a_second(page, scene):
    page.open_car(CAR)
    pixels = page.driver.find_element(By.CSS_SELECTOR, ".plot canvas")
    before = page.js("return arguments[0].toDataURL()", pixels)
    last = page.state("page.tables.Battery.last")
    page.wait(f"page.tables.Battery.last > {last}", 3)
    wait_until(lambda: page.js("return arguments[0].toDataURL()", pixels) != before, 3, "the picture to change")
    # From the message's time to the page: the car's clock is ours here.
    delays = []
    for _ in range(5):
        last = page.state("page.tables.Battery.last")
        page.wait(f"page.tables.Battery.last > {last}", 3, 0.01)
        delays.append(time.time() * 1000 - page.state("page.tables.Battery.last"))
    assert sorted(delays)[2] < 1000, delays


def test_the_updates_marker_and_gap_are_shown(page, scene):
    page.open_car(CAR)
    page.wait("page.markers.length >= 1")
    chip = page.driver.find_element(By.CSS_SELECTOR, ".chip")
    assert chip.text == "1.0.0 → 1.1.0 gap 2.4 s"
    assert "confirmed" in chip.get_attribute("aria-label")
    x, line = page.js("const m = document.querySelector('.marker'), o = document.querySelector('.overlay'), p = window.driveline.page;"
                      "return [m.getBoundingClientRect().left + 1 - o.getBoundingClientRect().left, p.view.x(p.markers[0].time)]")
    assert x == pytest.approx(line, abs=8)  # the window moves between the two
    # The chart is empty where nothing was sent.
    times = [t for t, _ in page.chart("EnergyAdded")]
    gap = page.state("page.markers[0].gap")
    assert gap["ms"] == Scene.GAP and gap["lost"] == 0
    assert not [t for t in times if gap["from"] < t < gap["to"]]
    assert "1.0.0 → 1.1.0" in page.text(".updates")


def test_the_effect_is_in_the_data(page, scene):
    page.open_car(CAR)
    result = page.wait("page.effect.result", 15)
    before, after = result["before"], result["after"]
    assert before["energyPerMinute"] == pytest.approx(60, rel=0.05)
    assert after["energyPerMinute"] == pytest.approx(120, rel=0.1)
    assert before["discMean"] == pytest.approx(112.5) and after["discMean"] == pytest.approx(72.5)
    assert before["discMax"] == 114 and after["discMax"] == 74
    assert result["windows"]["before"][1] - result["windows"]["before"][0] == \
        pytest.approx(result["windows"]["after"][1] - result["windows"]["after"][0])
    page.wait_text(".effect", "Wh/min")
    row = page.text("tr[data-signal=energyPerMinute]")
    assert "+" in row and "%" in row


def test_a_live_update_and_a_failed_one_appear(page, scene):
    car = scene.car
    page.open_car(CAR, "?w=60")
    count = page.state("page.markers.length")
    cause = "the app exited with status 3 within 0.4 s"
    at = now_ms()
    car.event(at, "8", "installing", "1.1.0", "1.2.0")
    car.event(at + 10, "8", "trial", "1.1.0", "1.2.0")
    page.wait(f"page.markers.length === {count + 1}", 5)
    assert page.text(".facts").find("trial") >= 0
    car.event(now_ms(), "8", "rolled_back", "1.1.0", "1.2.0", cause)
    page.wait(f"page.markers[{count}].failed", 5)
    chip = wait_until(lambda: page.driver.find_elements(By.CSS_SELECTOR, ".chip[data-state=bad]"), 5, "the failed marker")[0]
    assert "1.1.0 ✕ 1.2.0" in chip.text
    assert page.js("return getComputedStyle(document.querySelector('.marker[data-state=bad]')).borderLeftStyle") == "dashed"
    assert cause in page.text(".updates") and "rolled back" in page.text(".updates")
    assert page.state("page.effect.result") is None or page.state("page.effect.result.marker.to") == "1.1.0"


def test_a_seventh_subsystem_gets_its_own_charts(page, scene):
    other = Driver(scene.feed, "VIN-PAGE-7")
    other.telemetry(now_ms() - 1000)
    wait_until(lambda: scene.raw("/api/device?device=VIN-PAGE-7")[0] == 200, 10, "the car")
    page.open("/car/VIN-PAGE-7")
    page.wait("page.strips.some((s) => s.graph)")
    assert "Tyres" not in page.text(".charts")
    other.version = "4.0.0"
    for _ in range(5):
        other.send(now_ms(), "telemetry", {"Tyres": {f"Tyre{i}": {"Pressure": 2.4 + i / 10, "Flat": i == 2} for i in range(1, 5)}})
    page.wait_text(".charts", "Tyres", 10)
    page.wait("page.strips.find((s) => s.names.includes('Tyre1.Pressure'))")
    assert "Tyre 4" in page.text(".charts")


def test_zoom_pause_and_permalink(page, scene):
    page.open_car(CAR)
    buttons = {b.text: b for b in page.driver.find_elements(By.CSS_SELECTOR, ".tools button")}
    buttons["1 min"].click()
    page.wait("page.view.windowMs === 60000 && location.hash.endsWith('?w=60')")
    buttons["Pause"].click()
    page.wait("page.view.live === false")
    frozen = page.state("[page.view.from, page.view.to]")
    last = page.state("page.tables.Battery.last")
    page.wait(f"page.tables.Battery.last > {last}", 3)
    assert page.state("[page.view.from, page.view.to]") == frozen
    link = page.driver.current_url
    page.open(link.split("#")[1])
    page.wait("page.strips.some((s) => s.graph)")
    shown = page.state("[page.view.from, page.view.to, page.view.live]")
    assert shown[:2] == pytest.approx(frozen, abs=1) and shown[2] is False
    # Dragging over a plot zooms all of them.
    page.js("""const p = document.querySelector('.plot'), b = p.getBoundingClientRect();
        const go = (type, x) => p.dispatchEvent(new PointerEvent(type, {bubbles: true, pointerType: 'mouse', button: 0,
            clientX: b.left + b.width * x, clientY: b.top + 20}));
        go('pointerdown', 0.4); go('pointermove', 0.6); go('pointerup', 0.6);""")
    page.wait(f"page.view.to - page.view.from < {(frozen[1] - frozen[0]) / 3}")
    windows = page.state("page.strips.filter((s) => s.graph && s.visible).map((s) => s.graph.xAxisRange().map(Math.round).join())")
    assert wait_until(lambda: len(set(page.state("page.strips.filter((s) => s.graph && s.visible)"
                                                 ".map((s) => s.graph.xAxisRange().map(Math.round).join())"))) == 1, 3, "one axis"), windows


def test_keyboard_alone_is_enough(page, scene):
    page.open_car(CAR)
    body = page.driver.find_element(By.TAG_NAME, "body")
    page.js("document.activeElement.blur()")
    body.send_keys(Keys.TAB)
    assert page.js("return document.activeElement.className") == "skip"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.js("return document.activeElement.id") == "main"
    assert page.state("page.device") == CAR  # the skip link leaves the address alone
    page.js("document.querySelector('.charts').focus()")
    charts = page.driver.switch_to.active_element
    charts.send_keys(Keys.ARROW_LEFT * 3)
    cursor = page.wait("page.view.cursor")
    assert page.text(".cursor-time")
    page.wait_text(".tools .sr", "Energy added")
    charts.send_keys("+")
    page.wait("page.view.live === false")
    charts.send_keys(Keys.HOME)
    page.wait("page.view.live === true")
    assert cursor
    outline = page.js("return getComputedStyle(document.querySelector('.charts')).outlineStyle")
    assert outline != "none"


def test_every_chart_has_a_table(page, scene):
    page.open_car(CAR)
    for card in page.driver.find_elements(By.CSS_SELECTOR, ".chart-card"):
        button = card.find_element(By.CSS_SELECTOR, ".card-head button")
        button.click()
        assert button.get_attribute("aria-expanded") == "true"
        # In one question: the live table is drawn anew between two.
        rows, caption = page.js("const card = arguments[0];"
                                "return [card.querySelectorAll('tbody tr').length, card.querySelector('caption').textContent]", card)
        assert rows > 10 and caption
    labels = page.js("return [...document.querySelectorAll('.plot')].map((e) => [e.getAttribute('role'), e.getAttribute('aria-label')])")
    assert labels and all(role == "img" and label for role, label in labels if role)


def test_utc_and_local_time(page, scene):
    page.open_car(CAR)
    page.driver.find_element(By.ID, "zone").click()
    page.wait("page.strips.some((s) => s.graph)")
    assert page.text("#zone") == "UTC"
    expected = iso(int(page.state("page.markers[0].time")))[11:19]
    page.wait_text(".updates", expected)
    page.driver.find_element(By.ID, "zone").click()
    page.wait_text("#zone", "Local")


def test_fleet_of_hundreds_is_searched_and_paged(page, scene):
    for i in range(230):
        scene.feed.append(0, f"device/FLEET-{i:04d}/telemetry",
                          {"DeviceID": f"FLEET-{i:04d}", "SoftwareVersion": "2.0.0" if i % 10 else "3.0.0", "Battery": {"StateOfCharge": 50}})
    page.open("/")
    page.wait_text(".pager", "1–100 of 23")
    page.driver.find_element(By.CSS_SELECTOR, ".pager button:last-child").click()
    page.wait_text(".pager", "101–200 of 23")
    search = page.driver.find_element(By.ID, "search")
    search.send_keys("3.0.0")
    page.wait_text(".pager", "1–23 of 23")
    search.send_keys(Keys.CONTROL + "a")
    search.send_keys(CAR)
    page.wait_text(".pager", "1–1 of 1")
    assert "online" in page.text(".fleet tbody")
    assert "1.1.0" in page.text(".fleet tbody")
    page.driver.find_element(By.LINK_TEXT, CAR).send_keys(Keys.ENTER)
    page.wait(f"page.device === '{CAR}'")


@pytest.mark.parametrize("view", ["/", f"/car/{CAR}", "/rollouts", "/pipelines", "/log"])
def test_each_view_fits_a_phone_and_is_quiet(page, scene, tmp_path, view):
    name = view.strip("/").replace("/", "-") or "fleet"
    page.requests()
    for size, dark in ((PHONE, False), (DESKTOP, False), (DESKTOP, True)):
        page.size(size, dark)
        page.open(view)
        if "car" in view:
            page.wait("page.strips.some((s) => s.graph) && page.effect.result", 15)
        else:
            wait_until(lambda: "Loading" not in (page.text("main") or "Loading"), 10, "the view")
        wide = page.js("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], f"{view} scrolls sideways: {wide}"
        cut = page.js("return [...document.querySelectorAll('.card, .head, .tools')]"
                      ".filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className)")
        assert cut == [], f"{view} is cut off on the right"
        shot(page, tmp_path, f"{name}-{size[0]}{'-dark' if dark else ''}")
    assert page.complaints() == []
    outside = [u for u in page.requests() if not u.startswith((scene.base, "about:", "data:"))]
    assert outside == []


def test_a_lost_connection_is_told_and_nothing_is_missed(page, scene):
    page.open_car(CAR)
    scene.viewer.stop()
    page.wait("app.connected === false", 15)
    assert "lost" in page.text("#lost")
    last, sequence = page.state("page.tables.Battery.last"), page.state("page.last.Sequence")
    wait_until(lambda: scene.car.sequence > sequence + 6, 10, "messages that the page cannot see")
    scene.start_viewer()
    page.wait("app.connected === true", 20)
    page.wait(f"page.last.Sequence > {sequence + 6}", 10)
    assert not page.js("return document.getElementById('lost').offsetParent")
    times = [t for t in page.state("page.tables.Battery.times") if t >= last]
    assert max(b - a for a, b in zip(times, times[1:])) < 1500  # no hole where the server was away
    page.complaints()


def test_a_thinned_out_series_keeps_its_peaks(scene):
    ask = f"/api/series?device={CAR}&table=Engine&columns=Speed&from=0&to={now_ms() - 5000}&points="
    whole, thin = scene.get(ask + "4000"), scene.get(ask + "40")
    assert len(whole["times"]) > 200 and len(thin["times"]) <= 40
    assert max(thin["values"][0]) == max(whole["values"][0])
    assert min(thin["values"][0]) == min(whole["values"][0])


def test_strangers_names_are_refused(scene):
    for host in ("evil.example", f"evil.example:{scene.port}", "127.0.0.1.evil.example"):
        status, _, body = scene.raw("/api/fleet", host)
        assert status == 403 and b"loopback" in body
    assert scene.raw("/", f"localhost:{scene.port}")[0] == 200


def test_headers_and_cached_files(scene):
    status, headers, body = scene.raw("/")
    assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff"
    assert b"http://" not in body and b"https://" not in body
    assert scene.raw("/", headers={"If-None-Match": headers["ETag"]})[0] == 304
    status, headers, packed = scene.raw("/dygraph.js", headers={"Accept-Encoding": "gzip"})
    assert status == 200 and headers["Content-Encoding"] == "gzip" and len(packed) < 45000
    assert scene.raw("/../etc/passwd")[0] == 404 and scene.raw("/api/nothing")[0] == 404
    for path in ("/api/series?device=x", f"/api/series?device={CAR}&table=ABS;&columns=a", "/api/device?device=a/b",
                 f"/api/series?device={CAR}&table=ABS&columns=a&from=x", "/api/run?run=x"):
        status, _, body = scene.raw(path)
        assert status == 400 and json.loads(body)["error"]
    assert scene.raw("/api/device?device=NOBODY")[0] == 404


def test_the_viewer_stays_small(scene):
    for _ in range(20):
        scene.get(f"/api/series?device={CAR}&table=ABS&columns=Wheel1.Speed,Wheel2.Speed&points=4000")
    status = pathlib.Path(f"/proc/{scene.viewer.pid}/smaps_rollup").read_text()
    anonymous = int(next(line for line in status.splitlines() if line.startswith("Anonymous:")).split()[1])
    assert anonymous < 10 * 1024, f"{anonymous} kB of its own memory"
