/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "wire/seam.h"
#include "base/limits.h"
#include "wire/json_scan.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define S(field) offsetof(struct seam_sensors, field)
#define A(field) offsetof(struct seam_actuators, field)
#define NUMBER SEAM_TYPE_NUMBER
#define BOOL SEAM_TYPE_BOOL

#define WHEEL(n, i)                                                                                \
        {"wheel" n "_speed_mps", "m/s", S(wheel[i].speed_mps), NUMBER, 3, 0, 120},                 \
                {"wheel" n "_brake_bar", "bar", S(wheel[i].brake_bar), NUMBER, 2, 0, 250},         \
                {"wheel" n "_fluid_c", "°C", S(wheel[i].fluid_c), NUMBER, 2, -60, 400},            \
                {"wheel" n "_disc_c", "°C", S(wheel[i].disc_c), NUMBER, 2, -60, 1200},             \
        {                                                                                          \
                "wheel" n "_tyre_bar", "bar", S(wheel[i].tyre_bar), NUMBER, 3, 0, 10               \
        }
#define ZONE(n, i)                                                                                 \
        {"zone" n "_temperature_c", "°C", S(zone[i].temperature_c), NUMBER, 2, -60, 100},          \
        {                                                                                          \
                "zone" n "_humidity_pct", "%", S(zone[i].humidity_pct), NUMBER, 1, 0, 100          \
        }
#define SEAT(n, i)                                                                                 \
        {"seat" n "_occupied", "", S(seat[i].occupied), BOOL, 0, 0, 1},                            \
                {"seat" n "_belted", "", S(seat[i].belted), BOOL, 0, 0, 1},                        \
                {"seat" n "_airbag_ok", "", S(seat[i].airbag_ok), BOOL, 0, 0, 1},                  \
        {                                                                                          \
                "seat" n "_airbag_deployed", "", S(seat[i].airbag_deployed), BOOL, 0, 0, 1         \
        }

static const struct seam_signal sensor_table[] = {
        {"speed_mps", "m/s", S(speed_mps), NUMBER, 3, 0, 120},
        {"acceleration_mps2", "m/s²", S(acceleration_mps2), NUMBER, 3, -500, 500},
        {"motor_power_w", "W", S(motor_power_w), NUMBER, 0, -2e6, 2e6},
        {"accelerator", "", S(accelerator), NUMBER, 3, 0, 1},
        {"brake_pedal_bar", "bar", S(brake_pedal_bar), NUMBER, 2, 0, 250},
        {"brake_line_bar", "bar", S(brake_line_bar), NUMBER, 2, 0, 250},
        {"battery_soc_pct", "%", S(battery_soc_pct), NUMBER, 4, 0, 100},
        {"battery_temperature_c", "°C", S(battery_temperature_c), NUMBER, 3, -60, 150},
        {"battery_power_w", "W", S(battery_power_w), NUMBER, 0, -2e6, 2e6},
        {"braking_energy_wh", "Wh", S(braking_energy_wh), NUMBER, 3, 0, 1e9},
        {"ambient_temperature_c", "°C", S(ambient_temperature_c), NUMBER, 2, -60, 60},
        {"ambient_humidity_pct", "%", S(ambient_humidity_pct), NUMBER, 1, 0, 100},
        WHEEL("1", 0),
        WHEEL("2", 1),
        WHEEL("3", 2),
        WHEEL("4", 3),
        ZONE("1", 0),
        ZONE("2", 1),
        ZONE("3", 2),
        {"seat_heater1_c", "°C", S(seat_heater_c[0]), NUMBER, 2, -60, 150},
        {"seat_heater2_c", "°C", S(seat_heater_c[1]), NUMBER, 2, -60, 150},
        {"seat_heater3_c", "°C", S(seat_heater_c[2]), NUMBER, 2, -60, 150},
        SEAT("1", 0),
        SEAT("2", 1),
        SEAT("3", 2),
        SEAT("4", 3),
        SEAT("5", 4),
};

static const struct seam_signal actuator_table[] = {
        {"regen_torque_fraction", "", A(regen_torque_fraction), NUMBER, 3, 0, 1},
        {"zone1_hvac", "", A(zone_hvac[0]), NUMBER, 3, -1, 1},
        {"zone2_hvac", "", A(zone_hvac[1]), NUMBER, 3, -1, 1},
        {"zone3_hvac", "", A(zone_hvac[2]), NUMBER, 3, -1, 1},
        {"seat_heater1_duty", "", A(seat_heater_duty[0]), NUMBER, 3, 0, 1},
        {"seat_heater2_duty", "", A(seat_heater_duty[1]), NUMBER, 3, 0, 1},
        {"seat_heater3_duty", "", A(seat_heater_duty[2]), NUMBER, 3, 0, 1},
        {"traction_control", "", A(traction_control), BOOL, 0, 0, 1},
        {"airbag1_armed", "", A(airbag_armed[0]), BOOL, 0, 0, 1},
        {"airbag2_armed", "", A(airbag_armed[1]), BOOL, 0, 0, 1},
        {"airbag3_armed", "", A(airbag_armed[2]), BOOL, 0, 0, 1},
        {"airbag4_armed", "", A(airbag_armed[3]), BOOL, 0, 0, 1},
        {"airbag5_armed", "", A(airbag_armed[4]), BOOL, 0, 0, 1},
};

const struct seam_signal *seam_sensor_table(size_t *ret_n)
{
        *ret_n = N_ELEMENTS(sensor_table);
        return sensor_table;
}

const struct seam_signal *seam_actuator_table(size_t *ret_n)
{
        *ret_n = N_ELEMENTS(actuator_table);
        return actuator_table;
}

struct seam_actuators seam_actuators_default(void)
{
        return (struct seam_actuators){.airbag_armed = {true, true, true, true, true}};
}

static double clamp(double value, double minimum, double maximum)
{
        return value < minimum ? minimum : value > maximum ? maximum : value;
}

/* The longest number: a sign, 15 digits and a point. */
#define NUMBER_MAX 17
/* The longest signal: a comma, quotes and colon, the name and a number. */
#define NAME_MAX_BYTES 40
#define SIGNAL_MAX (4 + NAME_MAX_BYTES + NUMBER_MAX)
#define ENVELOPE_MAX 128

/* Writes the number and returns where it ends, NULL if it doesn't fit. Integer arithmetic after one
 * multiplication and one rounding: printf() would do, at ten times the cost, and its exactness is
 * the C library's business. */
static char *put_number(char *at, double value, int decimals)
{
        static const double power[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
        double scaled = fabs(value) * power[decimals] + 0.5;
        if (!(scaled < 1e15))
                return NULL;
        uint64_t digits = (uint64_t)scaled;

        char text[NUMBER_MAX];
        char *first = text + sizeof(text);
        bool negative = value < 0 && digits != 0;
        for (int i = 0; i < decimals; i++, digits /= 10)
                *--first = (char)('0' + digits % 10);
        if (decimals > 0)
                *--first = '.';
        do
                *--first = (char)('0' + digits % 10);
        while (digits /= 10);
        if (negative)
                *--first = '-';
        size_t len = (size_t)(text + sizeof(text) - first);
        memcpy(at, first, len);
        return at + len;
}

int seam_add_number(struct buf *b, double value, int decimals)
{
        char text[NUMBER_MAX];
        const char *end = put_number(text, value, decimals);
        return end ? buf_add(b, text, (size_t)(end - text)) : -EDOM;
}

static char *put_text(char *at, const char *text)
{
        size_t len = strlen(text);
        memcpy(at, text, len);
        return at + len;
}

static char *put_signal(char *at, const struct seam_signal *signal, const void *base)
{
        const char *field = (const char *)base + signal->offset;
        *at++ = '"';
        at = put_text(at, signal->name);
        at = put_text(at, "\":");
        if (signal->type == SEAM_TYPE_BOOL)
                return put_text(at, *(const bool *)field ? "true" : "false");
        double value = *(const double *)field;
        if (!isfinite(value))
                return NULL;
        return put_number(at, clamp(value, signal->minimum, signal->maximum), signal->decimals);
}

static char *put_envelope(char *at, const struct seam_tick *tick)
{
        at = put_text(at, "{\"t\":");
        at = put_number(at, tick->t, 3);
        if (!at)
                return NULL;
        at = put_text(at, ",\"dt\":");
        at = put_number(at, tick->dt, 4);
        if (!at)
                return NULL;
        at = put_text(at, ",\"report\":");
        at = put_text(at, tick->report ? "true" : "false");
        return put_text(at, ",\"sensors\":{");
}

int seam_encode_tick(const struct seam_tick *tick, struct buf *b)
{
        char *line = buf_reserve(b, ENVELOPE_MAX + N_ELEMENTS(sensor_table) * SIGNAL_MAX);
        if (!line)
                return b->error;
        char *at = put_envelope(line, tick);
        for (size_t i = 0; at && i < N_ELEMENTS(sensor_table); i++) {
                if (i > 0)
                        *at++ = ',';
                at = put_signal(at, &sensor_table[i], &tick->sensors);
        }
        if (!at)
                return -EDOM;
        at = put_text(at, "}}\n");
        buf_grew(b, (size_t)(at - line));
        return 0;
}

/* What is known of the answer while its members pass by. */
struct answer_scan {
        struct json_slice actuators;
        struct json_slice telemetry;
        size_t n_actuators;
        size_t n_telemetry;
        size_t n_objects;
        struct err *err;
};

static int on_answer_member(void *context, struct json_slice key, struct json_slice value)
{
        struct answer_scan *scan = context;
        if (json_slice_equals(key, "actuators")) {
                scan->actuators = value;
                scan->n_actuators++;
        } else if (json_slice_equals(key, "telemetry")) {
                scan->telemetry = value;
                scan->n_telemetry++;
        }
        return 0;
}

/* The agent writes these members itself; a second one from the app could speak for another car. */
static bool is_reserved(struct json_slice key)
{
        static const char *const names[] = {
                "DeviceID", "Timestamp", "Sequence", "SoftwareVersion", "Update"};
        for (size_t i = 0; i < N_ELEMENTS(names); i++)
                if (json_slice_equals(key, names[i]))
                        return true;
        return false;
}

static int on_telemetry_member(void *context, struct json_slice key, struct json_slice value)
{
        struct answer_scan *scan = context;
        if (is_reserved(key))
                return err_set(scan->err, -EINVAL, "telemetry must not hold '%.*s'", (int)key.len,
                        key.text);
        /* An escape could spell a reserved name in another way. */
        if (memchr(key.text, '\\', key.len))
                return err_set(scan->err, -EINVAL, "telemetry has a name with an escape");
        if (value.kind == JSON_KIND_OBJECT)
                scan->n_objects++;
        return 0;
}

struct actuator_scan {
        struct seam_actuators *actuators;
        struct err *err;
};

static int set_actuator(
        const struct seam_signal *signal, struct json_slice value, struct actuator_scan *scan)
{
        char *field = (char *)scan->actuators + signal->offset;
        if (signal->type == SEAM_TYPE_BOOL) {
                if (value.kind != JSON_KIND_BOOL)
                        return err_set(scan->err, -EINVAL, "actuator '%s' is not true or false",
                                signal->name);
                *(bool *)field = value.text[0] == 't';
                return 0;
        }
        double number = value.kind == JSON_KIND_NUMBER ? json_slice_number(value) : NAN;
        if (!isfinite(number))
                return err_set(scan->err, -EINVAL, "actuator '%s' is not a number", signal->name);
        *(double *)field = clamp(number, signal->minimum, signal->maximum);
        return 0;
}

static int on_actuator(void *context, struct json_slice key, struct json_slice value)
{
        for (size_t i = 0; i < N_ELEMENTS(actuator_table); i++)
                if (json_slice_equals(key, actuator_table[i].name))
                        return set_actuator(&actuator_table[i], value, context);
        return 0;
}

static int check_telemetry(struct answer_scan *scan)
{
        if (scan->telemetry.kind != JSON_KIND_OBJECT)
                return err_set(scan->err, -EINVAL, "telemetry is not an object");
        int r = json_scan_object(
                scan->telemetry.text, scan->telemetry.len, 1, on_telemetry_member, scan);
        if (r < 0)
                return r;
        if (scan->n_objects == 0)
                return err_set(scan->err, -EINVAL, "telemetry holds no subsystem");
        return 0;
}

static int parse_members(const char *line, size_t len, struct answer_scan *scan)
{
        int r = json_scan_object(line, len, 0, on_answer_member, scan);
        if (r < 0)
                return err_set(scan->err, r, "the app's line is not a JSON object");
        if (scan->n_actuators > 1 || scan->n_telemetry > 1)
                return err_set(scan->err, -EINVAL, "the app's line names a member twice");
        if (scan->n_actuators == 0 && scan->n_telemetry == 0) {
                /* A bare telemetry object. */
                while (len > 0 && line[len - 1] != '}')
                        len--;
                while (*line != '{')
                        line++, len--;
                scan->telemetry = (struct json_slice){line, len, JSON_KIND_OBJECT};
                scan->n_telemetry = 1;
        }
        return 0;
}

int seam_parse_answer(const char *line, size_t len, struct seam_actuators *actuators,
        struct seam_answer *ret_answer, struct err *err)
{
        if (len > LIMIT_SEAM_LINE_BYTES)
                return err_set(err, -E2BIG, "the app's line is longer than %zu bytes",
                        LIMIT_SEAM_LINE_BYTES);
        struct answer_scan scan = {.err = err};
        int r = parse_members(line, len, &scan);
        if (r == 0 && scan.n_telemetry > 0)
                r = check_telemetry(&scan);
        if (r < 0)
                return r;

        struct seam_actuators commanded = *actuators;
        if (scan.n_actuators > 0) {
                if (scan.actuators.kind != JSON_KIND_OBJECT)
                        return err_set(err, -EINVAL, "actuators is not an object");
                struct actuator_scan context = {.actuators = &commanded, .err = err};
                r = json_scan_object(
                        scan.actuators.text, scan.actuators.len, 1, on_actuator, &context);
                if (r < 0)
                        return r;
        }
        *actuators = commanded;
        *ret_answer = (struct seam_answer){.has_actuators = scan.n_actuators > 0,
                .telemetry = scan.n_telemetry > 0 ? scan.telemetry.text : NULL,
                .telemetry_len = scan.n_telemetry > 0 ? scan.telemetry.len : 0};
        return 0;
}
