#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Builds Driveline in every way and runs every test; `./check` and `make test|asan|clang|arm64` call it.

A step is a build or a suite. It writes build/check/STEP.log, and one line here. Counted are cases, not
suites: cmocka's and pytest's test functions, each file of a fuzz corpus, each build.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "check"
CI = os.environ.get("CI") == "true"
WERROR = ["-Dwerror=true"] if CI else []
# Integration tests mostly wait for a car's next second; a file's tests stay together, with its fixtures.
PARALLEL = ["-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile"]
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
    "LSAN_OPTIONS": f"suppressions='{ROOT}/scripts/lsan.supp':print_suppressions=0",
}


class Count:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


class Run:
    """One command of a step: its log, its limit, a live count on a terminal."""

    def __init__(self, step, progress=None):
        self.step, self.progress, self.child = step, progress, None
        self.log = LOGS / f"{step}.log"

    def __call__(self, argv, limit_s, env=None):
        with self.log.open("ab") as log:
            log.write((" ".join(map(str, argv)) + "\n").encode())
            log.flush()
            self.child = subprocess.Popen(
                [str(a) for a in argv], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(env or {})}, start_new_session=True)
        deadline = time.monotonic() + limit_s
        try:
            while True:
                try:
                    return self.child.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    if self.progress:
                        self.progress()
                    if time.monotonic() > deadline:
                        self.note(f"stopped: it took longer than {limit_s} s")
                        return 124
        finally:
            self.end()

    def end(self):
        """Ends what the command left in its session; an ended one has nobody in it."""
        if not self.child:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGTERM if self.child.poll() is None else signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(timeout=20)

    def note(self, text):
        with self.log.open("a") as log:
            log.write(text + "\n")

    def tail(self, n_lines):
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join("    " + line for line in lines[-n_lines:])


# ---- kinds of steps: each returns a Count ------------------------------------------------------------


def compile_with(build, *options, env=None, fresh=False):
    def step(run):
        if fresh:
            shutil.rmtree(build, ignore_errors=True)
        status = run(["scripts/build", build, *options], 900, {"BUILD_QUIET": "1", **(env or {})})
        return Count(passed=1) if status == 0 else Count(failed=1)
    return step


def meson_suite(build, suite, env=None, factor=1):
    """Runs the tests of a suite that meson knows and counts the cases inside each."""
    def step(run):
        log = build / "meson-logs" / "testlog.json"
        log.unlink(missing_ok=True)
        run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--suite", suite,
             "--timeout-multiplier", factor], 600, env)
        count = Count()
        if log.exists():
            for line in log.read_text(errors="replace").splitlines():
                count.add(meson_cases(json.loads(line)))
        else:
            run.note("no test ran")
            count.failed += 1
        return count
    return step


def meson_cases(test):
    text = test.get("stdout", "") + test.get("stderr", "")

    def cases(word):
        return sum(map(int, re.findall(rf"\[\s+{word}\s+\] (\d+) test\(s\)", text)))
    replayed = sum(map(int, re.findall(r"^replayed (\d+) inputs", text, re.M)))
    if test["result"] == "SKIP":
        return Count(skipped=1)
    if test["result"] not in ("OK", "EXPECTEDFAIL"):
        return Count(cases("PASSED"), max(1, cases(r"FAILED ")), cases("SKIPPED"))
    return Count(cases("PASSED") + replayed or 1, 0, cases("SKIPPED"))


def pytest_suite(build, *paths, env=None, limit_s=600, options=()):
    def step(run):
        existing = [p for p in paths if (ROOT / p).exists()]
        if not existing:
            run.note(f"no {paths} here")
            return Count(skipped=1)
        junit = LOGS / f"{run.step}.xml"
        junit.unlink(missing_ok=True)
        status = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-ra", "--tb=short",
                      f"--junitxml={junit}", f"--basetemp={os.environ['TMPDIR']}/{run.step[:4]}", *options, *existing], limit_s,
                     {"DRIVELINE_BUILD": str(build), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})})
        if not junit.exists():
            return Count(failed=1)
        count = junit_cases(junit)
        if status not in (0, 5) and count.failed == 0:
            count.failed = 1
        return count
    return step


def junit_cases(path):
    count = Count()
    for suite in xml.etree.ElementTree.parse(path).iter("testsuite"):
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        count.add(Count(int(suite.get("tests", 0)) - failed - skipped, failed, skipped))
    return count


def formatted(*folders):
    """White space is clang-format's; `make fmt` cures it."""
    def step(run):
        files = sorted(f for d in folders for f in (ROOT / d).rglob("*.[ch]"))
        return Count(passed=1) if files and run(["clang-format", "--dry-run", "-Werror", *files], 120) == 0 else Count(failed=1)
    return step


def cross_build(build, sysroot):
    def step(run):
        if run(["scripts/sysroot-arm64", sysroot], 300) != 0:
            return Count(failed=1)
        return compile_with(build, "--cross-file", f"{sysroot}.ini", "--cross-file", "cross/aarch64.txt",
                            "-Dcar_only=true", *WERROR)(run)
    return step


def torture(build, kills):
    def step(run):
        status = run([sys.executable, "tests/torture.py", "--build", build, "--kills", kills], 420,
                     {"PYTHONDONTWRITEBYTECODE": "1"})
        return Count(passed=1) if status == 0 else Count(failed=1)
    return step


def steps(build):
    """name: (what it is, needs, function). The order is the order of running."""
    asan, arm64, sysroot = BUILD / "asan", BUILD / "arm64", BUILD / "sysroot-arm64"
    return {
        "format": ("white space", [], formatted("src", "apps", "tests")),
        "gcc": ("build with gcc", [], compile_with(build, *WERROR)),
        "unit": ("unit tests", ["gcc"], meson_suite(build, "unit")),
        "fuzz": ("fuzz corpora", ["gcc"], meson_suite(build, "fuzz")),
        "apps": ("the vehicle app's own tests", [], pytest_suite(build, "apps/car-python")),
        "integration": ("integration tests", ["gcc"], pytest_suite(build, "tests/integration", options=PARALLEL)),
        "conformance": ("hawkBit conformance", ["gcc"], pytest_suite(build, "tests/conformance", options=PARALLEL)),
        "browser": ("browser tests", ["gcc"], pytest_suite(build, "tests/browser")),
        "arm64": ("build for 64-bit ARM", [], cross_build(arm64, sysroot)),
        "arm64-car": ("the ARM car under qemu", ["gcc", "arm64"], pytest_suite(
            build, "tests/arm64", env={"DRIVELINE_ARM64_BUILD": str(arm64), "DRIVELINE_ARM64_SYSROOT": str(sysroot)})),
        "clang": ("fresh build with clang", [], compile_with(
            BUILD / "clang", "-Dwerror=true", "-Dbuildtype=debug", env={"CC": "clang"}, fresh=True)),
        "asan": ("build with ASan and UBSan", [], compile_with(
            asan, "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1", *WERROR)),
        "asan-unit": ("unit tests, sanitized", ["asan"], meson_suite(asan, "unit", SANITIZERS, 4)),
        "asan-fuzz": ("fuzz corpora, sanitized", ["asan"], meson_suite(asan, "fuzz", SANITIZERS, 4)),
        "asan-integration": ("integration tests, sanitized", ["asan"], pytest_suite(
            asan, "tests/integration", env={**SANITIZERS, "DRIVELINE_SLOW": "3"}, options=PARALLEL)),
        "asan-conformance": ("hawkBit conformance, sanitized", ["asan"], pytest_suite(
            asan, "tests/conformance", env={**SANITIZERS, "DRIVELINE_SLOW": "3"}, options=PARALLEL)),
        "torture": ("kill -9 at random moments", ["gcc"], torture(build, 200)),
    }


# ---- the run -----------------------------------------------------------------------------------------


# Steps that mostly wait: each begins as soon as what it needs is there, and goes on beside the others.
BESIDE = {"torture"}


def announce(text, end="\n"):
    print(text, end=end, flush=True)


class Beside:
    """A step in a thread of its own, with nothing to see until its turn comes."""

    def __init__(self, name, function):
        self.run, self.function = Run(name), function
        self.run.log.write_text("")
        self.started = time.monotonic()
        self.count, self.took = Count(failed=1), 0
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        self.count = self.function(self.run)
        self.took = time.monotonic() - self.started

    def wait(self, progress):
        while self.thread.is_alive():
            progress()
            self.thread.join(1)
        return self.count


def run_step(number, total, name, what, function, beside=None):
    """Runs a step, or waits for the one that was begun `beside` the others."""
    head = f"[{number:2}/{total}] {what}"
    started = beside.started if beside else time.monotonic()

    def progress():
        if sys.stdout.isatty():
            announce(f"\r{head:42} {time.monotonic() - started:.0f} s ", end="")
    run = beside.run if beside else Run(name, progress)
    if not beside:
        run.log.write_text("")
    if not sys.stdout.isatty():
        announce(f"{head:42} …")
    count = beside.wait(progress) if beside else function(run)
    took = beside.took if beside else time.monotonic() - started
    announce(f"{chr(13) if sys.stdout.isatty() else ''}{head:42} {str(count):40} {took:6.1f} s")
    if count.failed:
        announce(run.tail(60))
        announce(f"    all of it: {run.log.relative_to(ROOT)}")
    return count


def start_beside(table, names, done, running):
    """Begins the steps of BESIDE whose needs are met."""
    for name in BESIDE.intersection(names).difference(running):
        if done.issuperset(table[name][1]):
            running[name] = Beside(name, table[name][2])


def with_needs(table, wanted):
    chosen = []

    def add(name):
        for need in table[name][1]:
            add(need)
        if name not in chosen:
            chosen.append(name)
    for name in wanted:
        add(name)
    return [name for name in table if name in chosen]


def main():
    parser = argparse.ArgumentParser(prog="check", description="Builds and tests all of Driveline.")
    parser.add_argument("--list", action="store_true", help="names the steps")
    parser.add_argument("--build", type=pathlib.Path, default=BUILD, help="the ordinary build's folder")
    parser.add_argument("step", nargs="*", help="only these and what they need")
    arguments = parser.parse_args()
    table = steps(arguments.build.resolve())
    if arguments.list:
        for name, (what, needs, _) in table.items():
            print(f"{name:18} {what}" + (f" (needs {', '.join(needs)})" if needs else ""))
        return 0
    unknown = [s for s in arguments.step if s not in table]
    if unknown:
        parser.error(f"unknown step '{unknown[0]}'; --list names them")

    names = with_needs(table, arguments.step or list(table))
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    total, broken, done, beside = Count(), set(), set(), {}
    # Tests' temporary files in one folder, so that even a killed test leaves nothing behind; with a short
    # name, because the path of a Unix socket has room for 107 bytes.
    with tempfile.TemporaryDirectory(prefix="dl.", ignore_cleanup_errors=True) as scratch:
        os.environ["TMPDIR"] = scratch
        # Nor may they read or write the user's own settings.
        os.environ["HOME"] = scratch
        try:
            for number, name in enumerate(names, 1):
                what, needs, function = table[name]
                start_beside(table, names, done, beside)
                if broken.intersection(needs):
                    broken.add(name)
                    total.skipped += 1
                    announce(f"[{number:2}/{len(names)}] {what:36} skipped: needs {', '.join(needs)}")
                    continue
                count = run_step(number, len(names), name, what, function, beside.get(name))
                total.add(count)
                (broken if count.failed else done).add(name)
        finally:
            for step in beside.values():
                step.run.end()
    announce(f"took {time.monotonic() - started:.0f} s")
    announce(f"{total}")
    return 1 if total.failed else 0


def stop(signum, frame):
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
