# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Brakes, wheels and traction control."""
import sensors
from regen import REGEN_BLEND

WHEELS = (1, 2, 3, 4)
# Traction control steps in when the driven front wheels run this much faster than the rear ones, and
# lets go when they are nearly equal again. The margin keeps sensor noise at a crawl out of it.
SLIP_ON = 1.10
SLIP_OFF = 1.04
SLIP_MARGIN_MPS = 0.3

_traction_control = False


def get_name():
    return "ABS"


def control(t):
    global _traction_control
    front = (sensors.get("wheel1_speed_mps") + sensors.get("wheel2_speed_mps")) / 2
    rear = (sensors.get("wheel3_speed_mps") + sensors.get("wheel4_speed_mps")) / 2
    _traction_control = front > rear * (SLIP_OFF if _traction_control else SLIP_ON) + SLIP_MARGIN_MPS
    return {"traction_control": _traction_control, "regen_torque_fraction": REGEN_BLEND}


def get_info(t):
    info = {
        "BrakePedalPressure": round(sensors.get("brake_pedal_bar"), 2),
        "BrakeActualPressure": round(sensors.get("brake_line_bar"), 2),
        "TractionControl": _traction_control,
    }
    for wheel in WHEELS:
        info[f"Wheel{wheel}"] = {
            "Speed": round(sensors.get(f"wheel{wheel}_speed_mps") * 3.6, 2),
            "Pressure": round(sensors.get(f"wheel{wheel}_brake_bar"), 2),
            "FluidTemperature": round(sensors.get(f"wheel{wheel}_fluid_c"), 2),
            "DiskTemperature": round(sensors.get(f"wheel{wheel}_disc_c"), 2),
        }
    return info
