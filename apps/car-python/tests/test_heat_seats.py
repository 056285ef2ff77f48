# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
def test_name(fresh):
    assert fresh("heat_seats").get_name() == "HeatSeats"


def test_cold_taken_seats_are_heated(car, fresh):
    heat_seats = fresh("heat_seats")
    assert heat_seats.control(0) == {"seat_heater1_duty": 0.8, "seat_heater2_duty": 0, "seat_heater3_duty": 0.8}
    info = heat_seats.get_info(0)
    assert info["HeatedSeat1"] == {"State": True, "Temperature": 15.0}
    assert not info["HeatedSeat2"]["State"]


def test_the_thermostat_has_a_hysteresis(car, fresh):
    heat_seats = fresh("heat_seats")
    states = []
    for cushion_c in (33, 35, 36.5, 35, 33.9):
        car["seat_heater1_c"] = cushion_c
        states.append(heat_seats.control(0)["seat_heater1_duty"] > 0)
    assert states == [True, True, False, False, True]


def test_a_warm_car_needs_no_warm_seats(car, fresh):
    heat_seats = fresh("heat_seats")
    car["zone1_temperature_c"] = 25.0
    assert heat_seats.control(0)["seat_heater1_duty"] == 0
