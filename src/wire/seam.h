/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The plant/app seam: one line of JSON each way, in lockstep, so that any language can be a vehicle app.
 *
 *   to the app:   {"t":12.3,"dt":0.1,"report":true,"sensors":{"speed_mps":8.1,…}}
 *   from the app: {"actuators":{"regen_torque_fraction":0.3,…}}
 *             or  {"actuators":{…},"telemetry":{"Engine":{…},"Battery":{…},…}}
 *
 * `t` is the plant's time in s since the agent started, `dt` the length of the coming step in s.
 * `report` is true on the ticks for which telemetry is wanted (once per reporting period); an app adds
 * "telemetry" to its answer then. The plant doesn't advance before the app has answered; an app that
 * doesn't answer in time is treated as crashed by its supervisor.
 * An app that never reads and only prints `{"telemetry":{…}}` lines (or bare telemetry objects with at
 * least one object member) works too: its actuators stay at their defaults.
 *
 * The sensors and actuators are tables in seam.c: {name, offset, unit, minimum, maximum}. Values out of
 * range are clamped, non-finite or non-numeric ones are an error; unknown members are ignored.
 */
