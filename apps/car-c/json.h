/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * As much JSON as the app needs: it reads an object of numbers and flags and writes nested objects
 * of the same. Nothing allocates; what doesn't fit makes the whole fail rather than come out cut.
 */
#include <stdbool.h>
#include <stddef.h>

#define JSON_VALUES_MAX 128
#define JSON_NAME_SIZE 40

/* Numbers and flags of an object by name; a flag is 0 or 1. */
struct json_values {
        int n;
        int last; /* the one found last: sensors are mostly asked for in their order */
        struct {
                char name[JSON_NAME_SIZE];
                double number;
        } value[JSON_VALUES_MAX];
};

/* False if there is none of that name. */
bool json_find(struct json_values *values, const char *name, double *ret_number);

struct json_reader {
        const char *at;
};

/* Steps into an object. */
bool json_enter(struct json_reader *r);
/* The next member's name: 1, 0 at the object's end, -1 when that is no JSON. */
int json_next(struct json_reader *r, char name[JSON_NAME_SIZE]);
bool json_read_number(struct json_reader *r, double *ret_number);
/* All numbers and flags of an object; other members are skipped. */
bool json_read_values(struct json_reader *r, struct json_values *ret_values);
bool json_skip(struct json_reader *r);
/* Nothing but blanks follows. */
bool json_at_end(struct json_reader *r);

struct json_writer {
        size_t len;
        bool needs_comma;
        bool is_full;
        char text[16384];
};

void json_clear(struct json_writer *w);
/* An object as member `name`, or without a name as the outermost. */
void json_open(struct json_writer *w, const char *name);
void json_close(struct json_writer *w);
void json_number(struct json_writer *w, const char *name, double number, int decimals);
void json_flag(struct json_writer *w, const char *name, bool flag);
/* With the first '%' of `name` replaced by `number`. */
void json_open_of(struct json_writer *w, const char *name, int number);
void json_number_of(
        struct json_writer *w, const char *name, int number, double value, int decimals);
void json_flag_of(struct json_writer *w, const char *name, int number, bool flag);

/* `name` with its first '%' replaced by `number`, cut to its size. */
void json_numbered(char text[JSON_NAME_SIZE], const char *name, int number);
