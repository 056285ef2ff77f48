# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
import airbag


def test_name():
    assert airbag.get_name() == "Airbag"


def test_only_taken_seats_with_a_sound_igniter_are_armed(car):
    car.update(seat4_airbag_ok=False)
    assert airbag.control(0) == {"airbag1_armed": True, "airbag2_armed": False, "airbag3_armed": False,
                                 "airbag4_armed": False, "airbag5_armed": False}


def test_a_deployed_airbag_is_told(car):
    car.update(seat1_airbag_ok=False, seat1_airbag_deployed=True, seat1_belted=False)
    info = airbag.get_info(0)
    assert info["Seat1"] == {"State": False, "Triggered": True, "Active": False,
                             "SeatbeltFastened": False, "PassengerPresent": True}
    assert info["Seat2"] == {"State": True, "Triggered": False, "Active": False,
                             "SeatbeltFastened": False, "PassengerPresent": False}
    assert len(info) == 5
