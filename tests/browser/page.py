# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The page in Debian's Chromium, as tests see it.

The page keeps its state in `window.driveline` (web/app.js): `page` is the view that is shown, and a
car's page has `strips` with their dygraphs, `tables` with the data, `markers` and `effect.result`.
"""
import json
import pathlib
import shutil
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from conftest import wait_until  # noqa: E402

DESKTOP = (1400, 1000)
PHONE = (360, 740)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         "--disable-dev-shm-usage")


class Page:
    def __init__(self, base):
        self.base = base
        self.profile = tempfile.mkdtemp(prefix="driveline-browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*FLAGS, f"--user-data-dir={self.profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_script_timeout(20)
        self.size(DESKTOP)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    # ---- looking

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def state(self, expression):
        """An expression over `app` (window.driveline) and `page` (the view), None where it isn't there yet."""
        return self.js("const app = window.driveline, page = app && app.page;"
                       f"try {{ return {expression}; }} catch (e) {{ return null; }}")

    def wait(self, expression, timeout=10, every=0.05):
        return wait_until(lambda: self.state(expression), timeout, expression, every)

    def text(self, selector):
        return self.js("const e = document.querySelector(arguments[0]); return e ? e.innerText : null", selector)

    def wait_text(self, selector, part, timeout=10):
        return wait_until(lambda: part in (self.text(selector) or ""), timeout, f"'{part}' in {selector}", 0.05)

    def chart(self, column):
        """The rows that dygraphs draws for a column: [[time, value], …] without the gaps."""
        return self.js("const [c] = arguments; const s = window.driveline.page.strips.find((s) => s.names.includes(c));"
                       "const i = s.names.indexOf(c) + 1;"
                       "return s.graph.file_.filter((r) => r[i] !== null).map((r) => [r[0], r[i]]);", column)

    # ---- doing

    def open(self, address):
        """`address`: what follows the '#'. Loads the page anew."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.base}/#{address}")
        self.wait("app.connected === true")

    def open_car(self, name, query=""):
        self.open(f"/car/{name}{query}")
        self.wait("page.strips.some((s) => s.graph && s.graph.file_.length > 3)")

    def size(self, size, dark=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def shot(self, path):
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))

    # ---- what it must not do

    def complaints(self):
        """Errors and warnings in the console since the last look."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def requests(self):
        """Every address asked for since the last look."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found
