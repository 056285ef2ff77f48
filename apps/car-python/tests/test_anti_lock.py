# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
import regen


def test_name(fresh):
    assert fresh("anti_lock").get_name() == "ABS"


def test_the_blend_is_commanded_and_is_a_share(car, fresh):
    assert 0 <= regen.REGEN_BLEND <= 1
    assert fresh("anti_lock").control(0)["regen_torque_fraction"] == regen.REGEN_BLEND


def test_traction_control_acts_while_the_driven_wheels_slip(car, fresh):
    anti_lock = fresh("anti_lock")
    states = []
    for front in (10.0, 11.0, 12.0, 10.9, 10.6, 11.0):
        car.update(wheel1_speed_mps=front, wheel2_speed_mps=front, wheel3_speed_mps=10.0, wheel4_speed_mps=10.0)
        states.append(anti_lock.control(0)["traction_control"])
    assert states == [False, False, True, True, False, False]


def test_noise_at_a_standstill_is_no_slip(car, fresh):
    car.update(wheel1_speed_mps=0.05)
    assert fresh("anti_lock").control(0)["traction_control"] is False


def test_each_wheel_is_told(car, fresh):
    car.update(brake_pedal_bar=20.004, brake_line_bar=14.0, wheel3_speed_mps=5.0, wheel3_disc_c=88.888)
    info = fresh("anti_lock").get_info(0)
    assert info["BrakePedalPressure"] == 20.0
    assert info["BrakeActualPressure"] == 14.0
    assert info["TractionControl"] is False
    assert info["Wheel3"] == {"Speed": 18.0, "Pressure": 12.0, "FluidTemperature": 15.0, "DiskTemperature": 88.89}
    assert {"Wheel1", "Wheel2", "Wheel4"} < set(info)
