# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Charge and temperature of the battery, and what braking gave back to it."""
import sensors


def get_name():
    return "Battery"


def get_info(t):
    return {
        "StateOfCharge": round(sensors.get("battery_soc_pct"), 3),
        "BatteryTemperature": round(sensors.get("battery_temperature_c"), 2),
        "EnergyAdded": round(sensors.get("braking_energy_wh"), 3),
    }
