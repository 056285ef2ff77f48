# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""What the car's sensors read in this tick; docs/signals.md has their names and units."""

_now = {}


def update(readings):
    """Takes the readings of a new tick."""
    global _now
    if not isinstance(readings, dict):
        raise TypeError("sensors is no object")
    _now = readings


def get(name):
    """The reading of a sensor; KeyError for one that the car doesn't have."""
    return _now[name]
