# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Speed, acceleration and power of the motor."""
import sensors


def get_name():
    return "Engine"


def get_info(t):
    return {
        "Speed": round(sensors.get("speed_mps") * 3.6, 2),
        "Acceleration": round(sensors.get("acceleration_mps2"), 3),
        "Power": round(sensors.get("motor_power_w") / 1000, 3),
    }
