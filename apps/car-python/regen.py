# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""How braking is shared between the motor and the friction brakes."""

# The share of each braking that the motor is asked to do, 0 to 1. The friction brakes do the rest: they
# turn it into heat, the motor returns it to the battery.
REGEN_BLEND = 0.30
