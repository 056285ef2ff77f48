#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Measures Driveline on this machine and writes docs/benchmarks.md (`make bench`).

Real programs on loopback with TLS on, as `driveline up` starts them. Each measurement says what exactly
was measured and with which command; the aims are those of the project, and a missed one is shown as such.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "integration"))

SUBSYSTEMS = {
    "Engine": {"Speed": 52.3, "Acceleration": 0.41, "Power": 8.72},
    "Battery": {"StateOfCharge": 79.31, "BatteryTemperature": 22.84, "EnergyAdded": 153.2},
    "AirConditioning": {f"Zone{n}": {"State": True, "Temperature": 21.5 + n, "Humidity": 41.2} for n in (1, 2, 3)},
    "Airbag": {f"Seat{n}": {"State": True, "Triggered": False, "Active": True, "SeatbeltFastened": n < 3,
                            "PassengerPresent": n < 3} for n in (1, 2, 3, 4, 5)},
    "HeatSeats": {f"HeatedSeat{n}": {"State": n == 1, "Temperature": 24.7} for n in (1, 2, 3)},
    "ABS": {"BrakePedalPressure": 0.0, "BrakeActualPressure": 0.0, "TractionControl": False,
            **{f"Wheel{n}": {"Speed": 52.1, "Pressure": 0.0, "FluidTemperature": 31.9, "DiskTemperature": 88.4}
               for n in (1, 2, 3, 4)}},
}


def message(device, sequence, moment, vary):
    """A telemetry message as a car sends it; the values change from one to the next as a car's do."""
    SUBSYSTEMS["Engine"]["Speed"] = round(40 + 20 * ((vary * 37 % 1000) / 1000), 3)
    SUBSYSTEMS["Battery"]["StateOfCharge"] = round(80 - vary * 0.001 % 60, 3)
    SUBSYSTEMS["Battery"]["EnergyAdded"] = round(vary * 0.173, 3)
    stamp = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).isoformat(timespec="milliseconds")
    return json.dumps({"DeviceID": device, "Timestamp": stamp.replace("+00:00", "Z"), "Sequence": sequence,
                       "SoftwareVersion": "1.0.0", **SUBSYSTEMS}, separators=(",", ":"))


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid):
    """(RSS, PSS) in MB."""
    values = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, value = line.split(":")
        values[key] = int(value.split()[0]) * 1024 / 1e6
    return values["Rss"], values["Pss"]


def folder_bytes(path):
    return sum(p.stat().st_size for p in pathlib.Path(path).rglob("*") if p.is_file())


class Report:
    """Parts by name, each with its rows and its sections."""

    def __init__(self):
        self.parts = {}

    def begin(self, part):
        print(part, flush=True)
        self.rows, self.sections = self.parts.setdefault(part, ([], []))

    def row(self, what, value, unit, aim=None, at_most=True):
        """`aim` None: only a figure. The ratio is above 1 where the aim is exceeded the good way."""
        text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
        ratio = "" if aim is None else f"{(aim / value if at_most else value / aim) if value else float('inf'):.2g}"
        aimed = "" if aim is None else f"{'at most' if at_most else 'at least'} {aim:g} {unit}"
        met = "" if aim is None else ("yes" if (value <= aim if at_most else value >= aim) else "**no**")
        self.rows.append((what, f"{text} {unit}", aimed, ratio, met))
        print(f"  {what:58} {text:>10} {unit:10} {aimed:24} {ratio:>6} {met}", flush=True)

    def section(self, title, command, text):
        self.sections.append((title, command, text))


# ---- measurements ------------------------------------------------------------------------------------


def throughput(report, cloud, n_messages, n_cars):
    """From the first byte sent to the last row readable in the store."""
    names = [f"LOAD-{n}" for n in range(n_cars)]
    contexts = {n: conftest.thing_context(cloud.create_thing(n), n) for n in names}
    clients = {n: mqtt_client.Mqtt(cloud.mqtt_port, contexts[n], n, timeout=60) for n in names}
    per_car = n_messages // n_cars
    base = time.time() - per_car
    payloads = {n: [message(n, s, base + s, s * 7 + i) for s in range(1, per_car + 1)] for i, n in enumerate(names)}
    size = sum(len(p) for p in payloads[names[0]]) / per_car
    roles = cloud.children()
    cpu = {r: cpu_seconds(roles[r]) for r in ("mosquitto", "store")}
    disk = {"stream": folder_bytes(cloud.data / "stream"), "store": store_bytes(cloud)}
    started = time.monotonic()
    in_flight = {n: [] for n in names}
    for index in range(per_car):
        for name, client in clients.items():
            in_flight[name].append(client.send_publish(f"device/{name}/telemetry", payloads[name][index]))
            if len(in_flight[name]) >= 20:  # Mosquitto's default for a client
                client.wait_acknowledged(in_flight[name].pop(0))
    for name, client in clients.items():
        for identifier in in_flight[name]:
            client.wait_acknowledged(identifier)
    acknowledged = time.monotonic() - started
    wait = lambda name: len(cloud.sequences("ABS", name)) == per_car  # noqa: E731
    conftest.wait_until(lambda: wait(names[-1]), 600, "the store to have the last car's rows", every=0.05)
    conftest.wait_until(lambda: all(map(wait, names)), 600, "the store to have every row", every=0.05)
    stored = time.monotonic() - started
    for client in clients.values():
        client.disconnect()
    total = per_car * n_cars
    report.row("messages durable in the store", total / stored, "1/s", 5000, at_most=False)
    report.row("messages acknowledged by the broker", total / acknowledged, "1/s")
    for role in cpu:
        report.row(f"CPU of {role} per message", (cpu_seconds(roles[role]) - cpu[role]) / total * 1e6, "µs")
    report.row("message", size, "bytes")
    report.row("disk per message, stream", (folder_bytes(cloud.data / "stream") - disk["stream"]) / total, "bytes")
    report.row("disk per message, store", (store_bytes(cloud) - disk["store"]) / total, "bytes")
    report.section("Messages into the store", f"tests/bench/bench.py --messages {n_messages} --cars {n_cars}",
                   f"{n_cars} connections over mutual TLS, QoS 1, at most 20 messages in flight each, six subsystems "
                   f"({size:.0f} bytes); one Python process sends. Timed until every row of every message can be read "
                   "from the store's tables. The sender shares the machine with what it measures.")


def store_bytes(cloud):
    return sum(p.stat().st_size for p in cloud.data.glob("store.db*") if not p.name.endswith("-shm"))


def latency(report, cloud, n_messages, rate):
    """From just before PUBLISH is sent until a query of the store returns the row."""
    import sqlite3
    name = "LATENCY-1"
    context = conftest.thing_context(cloud.create_thing(name), name)
    took = []
    with mqtt_client.Mqtt(cloud.mqtt_port, context, name) as client, contextlib.closing(sqlite3.connect(
            f"file:{cloud.data}/store.db?mode=ro", uri=True, timeout=10, isolation_level=None)) as db:
        for sequence in range(1, n_messages + 1):
            payload = message(name, sequence, time.time(), sequence)
            started = time.monotonic()
            client.send_publish(f"device/{name}/telemetry", payload)
            while not seen(db, name, sequence):
                assert time.monotonic() - started < 30, "the row never came"
                conftest.pause(0.0005)
            took.append((time.monotonic() - started) * 1000)
            client.ping()
            conftest.pause(max(0, 1 / rate - (time.monotonic() - started)))
    took.sort()
    report.row("publish to query, median", statistics.median(took), "ms")
    report.row("publish to query, p99", took[int(len(took) * 0.99) - 1], "ms", 200)
    report.section("Publish to query", f"tests/bench/bench.py --latency {n_messages}",
                   f"{n_messages} messages, at most {rate} a second, each timed from just before it is sent until a "
                   "query of the store's table, repeated every 0.5 ms, has its row.")


def seen(db, name, sequence):
    import sqlite3
    try:
        return db.execute("SELECT 1 FROM ABS WHERE DeviceID = ? AND Sequence = ?", (name, sequence)).fetchone()
    except sqlite3.OperationalError:
        return None  # no table before the first message


def footprint(report, cloud, build):
    """One car that sends once a second, after it has been updated by nobody."""
    car = cloud.start_tcu("FOOTPRINT-1", app=ROOT / "apps/car-python")
    car.wait_telemetry(10, 60)
    roles = {**cloud.children(), "up": cloud.program.pid}
    total = 0.0
    for role, pid in sorted(roles.items()):
        rss, pss = memory_mb(pid)
        total += pss
        report.row(f"{role}: RSS", rss, "MB")
    report.row("cloud and broker together, PSS", total, "MB", 60)
    rss, pss = memory_mb(car.program.pid)
    report.row("agent: RSS", rss, "MB")
    report.row("agent: PSS", pss, "MB", 4)
    stripped = cloud.folder / "driveline-tcu.stripped"
    shutil.copy(build / "src/tool/driveline-tcu", stripped)
    subprocess.run(["strip", stripped], check=True)
    report.row("agent, stripped", stripped.stat().st_size / 1e6, "MB", 1)
    car.stop()
    report.section("Memory", "tests/bench/bench.py --only footprint",
                   "`smaps_rollup` of each program with one car that sends a message a second. PSS divides shared "
                   "pages among the processes that share them; RSS counts them for each.")


def run_of_the_demo(report, build):
    """The figures that `driveline demo --once` itself measures and prints."""
    first = conftest.free_port()
    out = subprocess.run([build / "src/tool/driveline", "demo", "--once", "--ports", str(first)],
                         capture_output=True, text=True, timeout=300, check=False)
    assert out.returncode == 0, out.stdout[-2000:] + out.stderr[-2000:]
    pushes = re.findall(r"(VIN\S+) runs (\S+), ([0-9.]+) s after the push", out.stdout)
    gaps = re.search(r"by sequence numbers: C ([0-9.]+) s, Python ([0-9.]+) s, taken back ([0-9.]+) s", out.stdout)
    for (name, version, seconds), what in zip(pushes, ("update of the C app", "update of the Python app", "bad update")):
        report.row(f"push to {version} running, {what}", float(seconds), "s", 30)
    for gap, what in zip(gaps.groups(), ("update of the C app", "update of the Python app", "bad update")):
        report.row(f"telemetry gap, {what}", float(gap), "s", 3)
    report.section("The loop", "driveline demo --once",
                   "The demo's three updates: from `git push` to the version running and confirmed (a trial of 3 s is part "
                   "of it; after the bad update it is the old version), and the longest time between two stored messages. "
                   "A message is sent once a second, so a gap of 1 s is none.")


def module_bench(report, path, title):
    if path.exists():
        out = subprocess.run([path], capture_output=True, text=True, timeout=300, check=False)
        report.section(title, str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name,
                       "```\n" + (out.stdout.strip() or out.stderr.strip()) + "\n```")
        print("\n".join("  " + line for line in out.stdout.strip().splitlines()))


# ---- the report --------------------------------------------------------------------------------------


def machine():
    cpu = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = int(next(line.split()[1] for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
                      if line.startswith("MemTotal"))) / 1e6
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    version = pathlib.Path("/etc/debian_version").read_text().strip()
    return f"{os.cpu_count()} × {cpu}, {memory:.0f} GB, Debian {version}, Linux {platform.release()}, {compiler}"


def block(rows, sections):
    """A part as it stands in the file."""
    lines = []
    for title, command, text in sections:
        lines += ["", f"## {title}", "", f"`{command}`, {datetime.date.today().isoformat()}", "", text]
    if rows:
        lines += ["", "| what | measured | aim | ratio | met |", "|---|---:|---|---:|---|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines).strip()


def write(report, path):
    """The parts that were measured now; the others stay as they are."""
    old = path.read_text() if path.exists() else ""
    blocks = dict(re.findall(r"<!-- part: (\S+) -->\n(.*?)\n<!-- end -->", old, re.DOTALL))
    blocks.update({name: block(*part) for name, part in report.parts.items()})
    lines = ["# Benchmarks", "", "Written by `make bench`; don't edit. Ratio: how many times better than the aim.", "",
             machine()]
    for name in [*(n for n in PARTS if n in blocks), *(n for n in blocks if n not in PARTS)]:
        lines += ["", f"<!-- part: {name} -->", blocks[name], "<!-- end -->"]
    path.write_text("\n".join(lines) + "\n")


PARTS = ["footprint", "latency", "throughput", "ota-polls", "ota-tls", "ota-million", "ota-files", "ota-rollouts", "demo", "modules"]


def of_cloud(report, chosen, arguments, build, folder):
    """What needs the whole cloud."""
    if not {"footprint", "latency", "throughput"} & set(chosen):
        return
    cloud = conftest.Cloud(folder).start()
    try:
        if "footprint" in chosen:
            report.begin("footprint")
            footprint(report, cloud, build)
        if "latency" in chosen:
            report.begin("latency")
            latency(report, cloud, arguments.latency, 50)
        if "throughput" in chosen:
            report.begin("throughput")
            throughput(report, cloud, arguments.messages, arguments.cars)
    finally:
        cloud.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--messages", type=int, default=100000)
    parser.add_argument("--cars", type=int, default=20)
    parser.add_argument("--latency", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5, help="of polling")
    parser.add_argument("--only", action="append", choices=PARTS,
                        help="this part (repeatable); the others keep their rows")
    parser.add_argument("--megabytes", type=int, default=512, help="of the file that goes up and down")
    parser.add_argument("--out", type=pathlib.Path, help="instead of docs/benchmarks.md")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    os.environ["DRIVELINE_BUILD"] = str(build)
    global bench_ota, conftest, mqtt_client
    import conftest
    import mqtt_client
    import bench_ota
    report, chosen = Report(), arguments.only or PARTS

    with tempfile.TemporaryDirectory(prefix="driveline-bench.") as folder:
        of_cloud(report, chosen, arguments, build, pathlib.Path(folder) / "cloud")
        for name, measure, amount in (("ota-polls", bench_ota.polls, arguments.seconds),
                                      ("ota-tls", bench_ota.tls_polls, arguments.seconds),
                                      ("ota-million", bench_ota.million, arguments.seconds),
                                      ("ota-files", bench_ota.files, arguments.megabytes),
                                      ("ota-rollouts", bench_ota.rollouts, 0)):
            if name in chosen:
                report.begin(name)
                place = pathlib.Path(folder) / name
                place.mkdir()
                measure(report, build, place, amount)
                shutil.rmtree(place)
    if "demo" in chosen:
        report.begin("demo")
        run_of_the_demo(report, build)
    if "modules" in chosen:
        report.begin("modules")
        module_bench(report, build / "src/vehicle/plant_bench", "The plant")
        module_bench(report, build / "src/cloud/store/store_bench", "The store alone")
    out = arguments.out or ROOT / "docs/benchmarks.md"
    write(report, out)
    print(f"wrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
