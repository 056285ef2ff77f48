# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The car's side on 64-bit ARM, under qemu's user emulation, against the cloud of this machine.

The agent and the C app are cross-built; the agent starts the app itself, so the app's run_command is
changed to go through qemu: this kernel may not know ARM programs.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import driveline_fixtures as fixtures
import pytest

BUILD = pathlib.Path(os.environ.get("DRIVELINE_ARM64_BUILD", fixtures.ROOT / "build/arm64"))
SYSROOT = os.environ.get("DRIVELINE_ARM64_SYSROOT", str(fixtures.ROOT / "build/sysroot-arm64"))
# Commands in manifests and options are split at blanks, and this tree's path may have some.
LINKS = pathlib.Path(tempfile.mkdtemp(prefix="arm64."))
(LINKS / "sysroot").symlink_to(SYSROOT)
(LINKS / "build").symlink_to(BUILD)
QEMU = ["qemu-aarch64-static", "-L", str(LINKS / "sysroot")]
VIN = "ARM64-CAR"

pytestmark = pytest.mark.skipif(not (BUILD / "src/tool/driveline-tcu").exists(), reason="no build for 64-bit ARM")


def machine_of(program):
    header = subprocess.run(["readelf", "-h", program], capture_output=True, text=True, check=True).stdout
    return re.search(r"Machine:\s*(.*)", header).group(1)


def build_c_app(target, version):
    """The C app as an ARM package's folder, built by its own build_command with the cross-compiler."""
    shutil.copytree(fixtures.ROOT / "apps/car-c", target)
    manifest = target / "manifest.xml"
    text = manifest.read_text()
    command = re.search(r"<build_command>(.*?)</build_command>", text).group(1).split()
    assert command[0] == "gcc", command
    subprocess.run(["aarch64-linux-gnu-gcc", f"--sysroot={SYSROOT}", *command[1:]], cwd=target, check=True)
    run = re.search(r"<run_command>(.*?)</run_command>", text).group(1)
    assert "AArch64" in machine_of(target / run.split()[0])
    text = text.replace(f"<run_command>{run}<", f"<run_command>{' '.join(QEMU)} {run}<")
    manifest.write_text(re.sub(r"<version>.*?</version>", f"<version>{version}</version>", text))
    return target


@pytest.fixture(scope="module", autouse=True)
def links():
    yield
    shutil.rmtree(LINKS)


def test_agent_is_an_arm_program_that_says_its_version():
    assert "AArch64" in machine_of(BUILD / "src/tool/driveline-tcu")
    out = subprocess.run([*QEMU, BUILD / "src/tool/driveline-tcu", "--version"], capture_output=True, text=True, check=True)
    assert "driveline-tcu" in out.stdout


def test_arm_car_sends_and_takes_an_update(driveline, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old, new = build_c_app(tmp_path / "old/app", "1.0.0"), build_c_app(tmp_path / "new/app", "1.1.0")
    unpack = " ".join([*QEMU, f"{LINKS}/build/src/tool/driveline-unpack"])
    car = driveline.start_tcu(VIN, "--unpack-command", unpack, "--trial-s", "3", app=old,
                              binary=BUILD / "src/tool/driveline-tcu", wrapper=QEMU)
    car.wait_telemetry(3, 60)
    assert set(car.versions()) == {"1.0.0"}

    package = fixtures.make_package(new, tmp_path / "1.1.0.zip", "1.1.0")
    identifier = fixtures.upload(driveline, "car-c", "1.1.0", package)
    status, _ = driveline.api("POST", f"/rest/v1/distributionsets/{identifier}/assignedTargets",
                              [{"id": VIN, "type": "forced"}])
    assert status == 200
    car.wait_version("1.1.0", 90)
    car.wait_telemetry(3, 60)
    sequences = driveline.sequences("Battery", VIN) + driveline.sequences("Update", VIN)
    assert sorted(sequences) == list(range(1, len(sequences) + 1))
