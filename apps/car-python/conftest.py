# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Lets the tests import the app's modules, and gives them a car's readings to start from."""
import importlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sensors  # noqa: E402


def parked_car():
    """A car at rest with its driver and a passenger behind, at 15 °C."""
    readings = {
        "speed_mps": 0.0, "acceleration_mps2": 0.0, "motor_power_w": 0, "accelerator": 0.0,
        "brake_pedal_bar": 12.0, "brake_line_bar": 12.0, "battery_soc_pct": 85.0,
        "battery_temperature_c": 15.0, "battery_power_w": 250, "braking_energy_wh": 0.0,
        "ambient_temperature_c": 15.0, "ambient_humidity_pct": 60.0,
    }
    for wheel in range(1, 5):
        readings.update({
            f"wheel{wheel}_speed_mps": 0.0, f"wheel{wheel}_brake_bar": 12.0, f"wheel{wheel}_fluid_c": 15.0,
            f"wheel{wheel}_disc_c": 15.0, f"wheel{wheel}_tyre_bar": 2.5,
        })
    for zone in range(1, 4):
        readings.update({f"zone{zone}_temperature_c": 15.0, f"zone{zone}_humidity_pct": 60.0})
        readings[f"seat_heater{zone}_c"] = 15.0
    for seat in range(1, 6):
        taken = seat in (1, 4)
        readings.update({f"seat{seat}_occupied": taken, f"seat{seat}_belted": taken,
                         f"seat{seat}_airbag_ok": True, f"seat{seat}_airbag_deployed": False})
    return readings


@pytest.fixture
def car():
    """The readings that the modules see; a test changes them in place."""
    readings = parked_car()
    sensors.update(readings)
    return readings


@pytest.fixture
def fresh():
    """Imports a module again, without what it remembers of earlier tests."""
    return lambda name: importlib.reload(importlib.import_module(name))
