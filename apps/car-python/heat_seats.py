# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Warms the seats of people in a cold car."""
import sensors

# The heated seats and who sits on them: driver, front passenger, rear bench.
HEATED = {1: (1,), 2: (2,), 3: (3, 4, 5)}
DUTY = 0.8
# A thermostat with a hysteresis; skin stays comfortable below 40 °C.
ON_BELOW_C = 34.0
OFF_ABOVE_C = 36.0
# Nobody wants a warm seat in a warm car.
WARM_CABIN_C = 24.0

_is_on = dict.fromkeys(HEATED, False)


def get_name():
    return "HeatSeats"


def is_taken(heated):
    return any(sensors.get(f"seat{seat}_occupied") for seat in HEATED[heated])


def control(t):
    for heated in HEATED:
        cushion_c = sensors.get(f"seat_heater{heated}_c")
        is_warm = sensors.get(f"zone{heated}_temperature_c") > WARM_CABIN_C
        if cushion_c > OFF_ABOVE_C or is_warm or not is_taken(heated):
            _is_on[heated] = False
        elif cushion_c < ON_BELOW_C:
            _is_on[heated] = True
    return {f"seat_heater{heated}_duty": DUTY if _is_on[heated] else 0 for heated in HEATED}


def get_info(t):
    return {
        f"HeatedSeat{heated}": {
            "State": _is_on[heated],
            "Temperature": round(sensors.get(f"seat_heater{heated}_c"), 2),
        }
        for heated in HEATED
    }
