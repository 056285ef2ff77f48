# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
import air_conditioning as module
import pytest


@pytest.mark.parametrize("temperature, command", [
    (21.0, 0), (20.8, 0), (21.2, 0), (20.0, 0.25), (23.0, -0.5), (17.0, 1), (-20.0, 1), (60.0, -1)])
def test_command_grows_with_the_distance_from_the_target(temperature, command):
    assert module.command_for(temperature) == command


def test_each_zone_is_controlled_by_its_own_air(car, fresh):
    air_conditioning = fresh("air_conditioning")
    car.update(zone1_temperature_c=21.0, zone2_temperature_c=25.0)
    assert air_conditioning.control(0) == {"zone1_hvac": 0, "zone2_hvac": -1, "zone3_hvac": 1}
    info = air_conditioning.get_info(0)
    assert [info[zone]["State"] for zone in ("Zone1", "Zone2", "Zone3")] == [False, True, True]
    assert info["Zone2"] == {"State": True, "Temperature": 25.0, "Humidity": 60.0}


def test_name():
    assert module.get_name() == "AirConditioning"
