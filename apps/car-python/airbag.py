# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Arms the airbag of each seat that is taken."""
import sensors

SEATS = (1, 2, 3, 4, 5)


def get_name():
    return "Airbag"


def is_armed(seat):
    """For a person in the seat, while the igniter is sound."""
    return sensors.get(f"seat{seat}_airbag_ok") and sensors.get(f"seat{seat}_occupied")


def control(t):
    return {f"airbag{seat}_armed": is_armed(seat) for seat in SEATS}


def get_info(t):
    return {
        f"Seat{seat}": {
            "State": sensors.get(f"seat{seat}_airbag_ok"),
            "Triggered": sensors.get(f"seat{seat}_airbag_deployed"),
            "Active": is_armed(seat),
            "SeatbeltFastened": sensors.get(f"seat{seat}_belted"),
            "PassengerPresent": sensors.get(f"seat{seat}_occupied"),
        }
        for seat in SEATS
    }
