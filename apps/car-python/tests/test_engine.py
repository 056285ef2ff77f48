# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
import engine


def test_name():
    assert engine.get_name() == "Engine"


def test_speed_is_in_km_h_and_power_in_kw(car):
    car.update(speed_mps=10.0, acceleration_mps2=-1.2344, motor_power_w=-5250)
    assert engine.get_info(0) == {"Speed": 36.0, "Acceleration": -1.234, "Power": -5.25}
