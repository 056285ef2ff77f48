# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Keeps three zones of the cabin at one temperature."""
import sensors

ZONES = (1, 2, 3)
TARGET_C = 21.0
# Full power 4 K off the target; nothing nearer than this, so that it doesn't hunt around it.
FULL_POWER_K = 4.0
DEAD_BAND_K = 0.3

_command = dict.fromkeys(ZONES, 0.0)


def get_name():
    return "AirConditioning"


def command_for(temperature_c):
    """-1 (full cooling) to 1 (full heating)."""
    missing_k = TARGET_C - temperature_c
    if abs(missing_k) < DEAD_BAND_K:
        return 0.0
    return max(-1.0, min(1.0, missing_k / FULL_POWER_K))


def control(t):
    for zone in ZONES:
        _command[zone] = command_for(sensors.get(f"zone{zone}_temperature_c"))
    return {f"zone{zone}_hvac": round(_command[zone], 3) for zone in ZONES}


def get_info(t):
    return {
        f"Zone{zone}": {
            "State": _command[zone] != 0,
            "Temperature": round(sensors.get(f"zone{zone}_temperature_c"), 2),
            "Humidity": round(sensors.get(f"zone{zone}_humidity_pct"), 1),
        }
        for zone in ZONES
    }
