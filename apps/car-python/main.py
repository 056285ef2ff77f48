# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The vehicle app: control software of a simulated car, and what an update replaces.

Once a tick the car sends a line of JSON with its sensors; the app answers with a line that sets the
car's actuators and, when the tick asks for a report, tells the telemetry. Each subsystem is a module
with get_name() and get_info(t), and an entry in the list in subsystems.py. It may have control(t) as
well, which returns the actuators that it commands.
"""
import json
import sys

import sensors
from subsystems import SUBSYSTEMS


def answer_of(tick):
    """The answer to one tick, as an object."""
    t = tick["t"]
    sensors.update(tick["sensors"])
    actuators = {}
    for subsystem in SUBSYSTEMS:
        if hasattr(subsystem, "control"):
            actuators.update(subsystem.control(t))
    answer = {"actuators": actuators}
    if tick.get("report"):
        answer["telemetry"] = {s.get_name(): s.get_info(t) for s in SUBSYSTEMS}
    return answer


def answer_line(line):
    """Each line gets exactly one answer, since the car waits for it; to a broken one the answer is to
    leave everything as it is."""
    try:
        return json.dumps(answer_of(json.loads(line)), separators=(",", ":"), allow_nan=False)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        print(f"car: this line is no tick ({error!r}): {line[:60].strip()}", file=sys.stderr, flush=True)
        return '{"actuators":{}}'


def main():
    # A byte that is no UTF-8 spoils its line, not the app.
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    for line in sys.stdin:
        print(answer_line(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
