/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* The loop: a line of sensors in, a line of actuators (and telemetry) out, until the input ends. */
#include "car.h"

#include <stdio.h>
#include <string.h>

double sensor(struct tick *tick, const char *name)
{
        double number = 0;
        if (!json_find(&tick->sensors, name, &number) && !tick->missing)
                tick->missing = name;
        return number;
}

bool sensor_flag(struct tick *tick, const char *name)
{
        return sensor(tick, name) != 0;
}

double sensor_of(struct tick *tick, const char *name, int number)
{
        double value = 0;
        char numbered[JSON_NAME_SIZE];
        json_numbered(numbered, name, number);
        if (!json_find(&tick->sensors, numbered, &value) && !tick->missing)
                tick->missing = name;
        return value;
}

bool sensor_flag_of(struct tick *tick, const char *name, int number)
{
        return sensor_of(tick, name, number) != 0;
}

static bool read_member(struct json_reader *r, const char *name, struct tick *tick)
{
        if (strcmp(name, "t") == 0)
                return json_read_number(r, &tick->t);
        if (strcmp(name, "dt") == 0)
                return json_read_number(r, &tick->dt);
        if (strcmp(name, "sensors") == 0)
                return json_read_values(r, &tick->sensors);
        const char *value = r->at;
        if (!json_skip(r))
                return false;
        if (strcmp(name, "report") == 0)
                tick->report = strncmp(value + strspn(value, " \t"), "true", 4) == 0;
        return true;
}

static bool read_tick(const char *line, struct tick *tick)
{
        struct json_reader r = {.at = line};
        char name[JSON_NAME_SIZE];
        tick->report = false;
        tick->missing = NULL;
        tick->sensors.n = tick->sensors.last = 0;
        if (!json_enter(&r))
                return false;
        int more;
        while ((more = json_next(&r, name)) > 0)
                if (!read_member(&r, name, tick))
                        return false;
        return more == 0 && json_at_end(&r) && tick->sensors.n > 0;
}

static void write_answer(struct tick *tick, struct json_writer *w)
{
        json_open(w, NULL);
        json_open(w, "actuators");
        for (int i = 0; subsystems[i]; i++)
                if (subsystems[i]->control)
                        subsystems[i]->control(tick, w);
        json_close(w);
        if (tick->report) {
                json_open(w, "telemetry");
                for (int i = 0; subsystems[i]; i++) {
                        json_open(w, subsystems[i]->name);
                        subsystems[i]->report(tick, w);
                        json_close(w);
                }
                json_close(w);
        }
        json_close(w);
}

/* Each line gets exactly one answer, since the car waits for it; to a broken one the answer is to
 * leave everything as it is. */
static void answer(const char *line, struct tick *tick, struct json_writer *w)
{
        json_clear(w);
        if (!read_tick(line, tick))
                fprintf(stderr, "car: this line is no tick: %.60s\n", line);
        else
                write_answer(tick, w);
        if (tick->missing)
                fprintf(stderr, "car: the car has no sensor '%s'\n", tick->missing);
        if (w->is_full)
                fprintf(stderr, "car: the answer is longer than %zu bytes\n", sizeof(w->text));
        bool is_good = w->len > 0 && !tick->missing && !w->is_full;
        puts(is_good ? w->text : "{\"actuators\":{}}");
}

/* False at the end of the input. A line that is too long or no text comes out empty. */
static bool read_line(char *line, size_t size)
{
        size_t len = 0;
        bool is_good = true;
        int c = getchar();
        if (c == EOF)
                return false;
        for (; c != '\n' && c != EOF; c = getchar()) {
                if (c == '\0' || len + 1 == size)
                        is_good = false;
                else
                        line[len++] = (char)c;
        }
        line[is_good ? len : 0] = '\0';
        return true;
}

int main(void)
{
        static char line[65536];
        static struct tick tick;
        static struct json_writer writer;
        while (read_line(line, sizeof(line))) {
                answer(line, &tick, &writer);
                if (fflush(stdout) != 0)
                        return 1;
        }
        return 0;
}
