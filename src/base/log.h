/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The program's log: one sentence a line on stderr, with the time in UTC, the level and the
 * program: 2026-11-22T19:00:00.000Z info  ota: action 3 of 'car-1' finished Layers return, programs
 * log: log once, where it is decided. No secrets, no whole payloads; bytes from outside that are
 * not printable are written as '?'. Lines longer than 1 kB are cut.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_N };

/* `program` is kept by pointer. Before this call the name is empty and the level info. */
void log_setup(const char *program, enum log_level level);
/* "error", "warning", "info" or "debug"; -EINVAL for anything else. */
int log_level_from_string(const char *text, enum log_level *ret_level);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Says that a service is at work, in the words that its supervisor waits for: LOG_READY_TEXT. */
#define LOG_READY_TEXT "ready: "
#define log_ready(fmt, ...) log_write(LOG_LEVEL_INFO, LOG_READY_TEXT fmt, ##__VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
