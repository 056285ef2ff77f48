# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The subsystems in the order of their telemetry. A new one is a module and a line here."""
import air_conditioning
import airbag
import anti_lock
import battery
import engine
import heat_seats

SUBSYSTEMS = [
    engine,
    battery,
    air_conditioning,
    airbag,
    heat_seats,
    anti_lock,
]
