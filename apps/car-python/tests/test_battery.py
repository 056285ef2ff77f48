# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
import battery


def test_name():
    assert battery.get_name() == "Battery"


def test_readings_are_passed_on(car):
    car.update(battery_soc_pct=84.12345, battery_temperature_c=16.789, braking_energy_wh=12.3456)
    assert battery.get_info(0) == {"StateOfCharge": 84.123, "BatteryTemperature": 16.79, "EnergyAdded": 12.346}
