/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* The plant and the real vehicle apps in lockstep through pipes, as fast as they can: each app is
 * copied, its blend perhaps changed, built by its manifest's build_command and run by its
 * run_command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "vehicle/vehicle.h"
#include "wire/manifest.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define N_REPORTS 195 /* one a second of ece15 */
#define REPORT_TICKS 10

extern char **environ;

/* What the drive gave: the telemetry of each second. */
struct drive {
        json_t *telemetry[N_REPORTS];
        int n;
        struct vehicle vehicle;
};

struct app {
        pid_t pid;
        FILE *in;
        FILE *out;
};

static void copy_file(const char *from, const char *to, const char *old, const char *new)
{
        struct err err = ERR_INIT;
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        if (fs_read(from, &text, &err) < 0)
                fail_msg("%s", err.text);
        char *at = old ? strstr(buf_text(&text), old) : NULL;
        if (at)
                memcpy(at, new, strlen(new));
        if (fs_write_atomic(to, buf_text(&text), text.len, 0644, &err) < 0)
                fail_msg("%s", err.text);
}

static void copy_app(const char *from, const char *to, const char *blend)
{
        DIR *dir = opendir(from);
        assert_non_null(dir);
        struct dirent *entry;
        while ((entry = readdir(dir))) {
                CLEAN_MEM char *source = fs_join(from, entry->d_name);
                CLEAN_MEM char *target = fs_join(to, entry->d_name);
                struct stat st;
                assert_int_equal(stat(source, &st), 0);
                bool is_regen = strncmp(entry->d_name, "regen.", 6) == 0;
                if (S_ISREG(st.st_mode) && entry->d_name[0] != '.')
                        copy_file(source, target, is_regen ? "0.30" : NULL, blend);
        }
        closedir(dir);
}

static pid_t spawn(const char *folder, const char *command_text, int in_fd, int out_fd)
{
        CLEAN_COMMAND struct command command = {0};
        struct err err = ERR_INIT;
        if (command_parse(command_text, &command, &err) < 0)
                fail_msg("%s", err.text);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addchdir_np(&actions, folder);
        if (in_fd >= 0) {
                posix_spawn_file_actions_adddup2(&actions, in_fd, 0);
                posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
        }
        pid_t pid = -1;
        assert_int_equal(
                posix_spawnp(&pid, command.argv[0], &actions, NULL, command.argv, environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        return pid;
}

static int wait_for(pid_t pid)
{
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static struct app given_app(const char *folder)
{
        CLEAN_MANIFEST struct manifest manifest = {0};
        struct err err = ERR_INIT;
        if (manifest_read(folder, &manifest, &err) < 0)
                fail_msg("%s", err.text);
        assert_string_equal(manifest.version, "1.0.0");
        if (manifest.build_command[0])
                assert_int_equal(wait_for(spawn(folder, manifest.build_command, -1, -1)), 0);
        int to_app[2], from_app[2];
        assert_int_equal(pipe2(to_app, O_CLOEXEC), 0);
        assert_int_equal(pipe2(from_app, O_CLOEXEC), 0);
        struct app app = {.pid = spawn(folder, manifest.run_command, to_app[0], from_app[1])};
        close(to_app[0]);
        close(from_app[1]);
        app.in = fdopen(to_app[1], "w");
        app.out = fdopen(from_app[0], "r");
        assert_true(app.in && app.out);
        return app;
}

/* One tick there and back; keeps the telemetry when there is some. */
static void exchange(struct app *app, struct drive *drive, struct seam_actuators *a, bool report)
{
        struct seam_tick tick = {.t = vehicle_time_s(&drive->vehicle), .dt = 0.1, .report = report};
        vehicle_sense(&drive->vehicle, &tick.sensors);
        CLEAN_BUF struct buf line = BUF_INIT(LIMIT_SEAM_LINE_BYTES);
        assert_int_equal(seam_encode_tick(&tick, &line), 0);
        assert_int_equal(fwrite(line.data, 1, line.len, app->in), line.len);
        assert_int_equal(fflush(app->in), 0);

        CLEAN_MEM char *answer_line = NULL;
        size_t cap = 0;
        ssize_t len = getline(&answer_line, &cap, app->out);
        assert_true(len > 0);
        struct seam_answer answer;
        struct err err = ERR_INIT;
        if (seam_parse_answer(answer_line, (size_t)len, a, &answer, &err) < 0)
                fail_msg("%s", err.text);
        assert_true(answer.has_actuators);
        assert_int_equal(answer.telemetry != NULL, report);
        if (report)
                drive->telemetry[drive->n++] =
                        json_parse(answer.telemetry, answer.telemetry_len, &err);
}

static struct drive *drive_ece15(const char *app_name, const char *blend)
{
        char folder[] = "/tmp/driveline-app-XXXXXX";
        assert_non_null(mkdtemp(folder));
        CLEAN_MEM char *source = fs_join(DRIVELINE_SOURCE "/apps", app_name);
        copy_app(source, folder, blend);
        struct app app = given_app(folder);

        struct cycle *opened = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(cycle_open("ece15", &opened, &err), 0);
        CLEAN(cycle) struct cycle *cycle = opened;
        struct vehicle_options options = VEHICLE_OPTIONS_INIT;
        options.cycle = cycle;
        options.seed = 3;
        struct drive *drive = calloc(1, sizeof(*drive));
        assert_non_null(drive);
        vehicle_init(&drive->vehicle, &options);
        struct seam_actuators a = seam_actuators_default();
        for (int i = 0; i < N_REPORTS * REPORT_TICKS; i++) {
                exchange(&app, drive, &a, i % REPORT_TICKS == REPORT_TICKS - 1);
                vehicle_step(&drive->vehicle, &a, 0.1);
        }
        fclose(app.in);
        assert_int_equal(wait_for(app.pid), 0);
        fclose(app.out);
        assert_int_equal(fs_remove_tree(folder, &err), 0);
        return drive;
}

static void drive_free(struct drive *drive)
{
        for (int i = 0; i < drive->n; i++)
                json_decref(drive->telemetry[i]);
        free(drive);
}

static double last(const struct drive *drive, const char *subsystem, const char *field)
{
        const json_t *object = json_object_get(drive->telemetry[N_REPORTS - 1], subsystem);
        return json_number(object, field, NAN);
}

static double last_disc_c(const struct drive *drive)
{
        const json_t *brakes = json_object_get(drive->telemetry[N_REPORTS - 1], "ABS");
        return json_number(json_object_get(brakes, "Wheel1"), "DiskTemperature", NAN);
}

static void check_six_subsystems(const struct drive *drive)
{
        static const char *const names[] = {
                "Engine", "Battery", "AirConditioning", "Airbag", "HeatSeats", "ABS"};
        assert_int_equal(drive->n, N_REPORTS);
        for (int i = 0; i < drive->n; i++) {
                assert_int_equal(json_object_size(drive->telemetry[i]), N_ELEMENTS(names));
                for (size_t k = 0; k < N_ELEMENTS(names); k++)
                        assert_true(json_object_size(
                                            json_object_get(drive->telemetry[i], names[k])) >= 3);
        }
}

static void check_update_effect(const char *app_name)
{
        struct drive *before = drive_ece15(app_name, "0.30");
        struct drive *after = drive_ece15(app_name, "0.80");
        check_six_subsystems(before);
        check_six_subsystems(after);
        print_message("%s: %.1f -> %.1f Wh returned, front disc %.1f -> %.1f °C\n", app_name,
                last(before, "Battery", "EnergyAdded"), last(after, "Battery", "EnergyAdded"),
                last_disc_c(before), last_disc_c(after));
        assert_true(
                last(after, "Battery", "EnergyAdded") > 2 * last(before, "Battery", "EnergyAdded"));
        assert_true(last_disc_c(after) < last_disc_c(before) - 3);
        drive_free(before);
        drive_free(after);
}

static void an_update_of_the_c_app_changes_the_telemetry(void **state)
{
        check_update_effect("car-c");
}

static void an_update_of_the_python_app_changes_the_telemetry(void **state)
{
        check_update_effect("car-python");
}

static void both_apps_drive_alike(void **state)
{
        struct drive *c = drive_ece15("car-c", "0.30");
        struct drive *python = drive_ece15("car-python", "0.30");
        for (int i = 0; i < N_REPORTS; i++) {
                /* As texts with 4 digits, since one writes 12.50 and the other 12.5. */
                CLEAN_MEM char *a =
                        json_dumps(c->telemetry[i], JSON_SORT_KEYS | JSON_REAL_PRECISION(7));
                CLEAN_MEM char *b =
                        json_dumps(python->telemetry[i], JSON_SORT_KEYS | JSON_REAL_PRECISION(7));
                assert_string_equal(a, b);
        }
        assert_true(c->vehicle.books.chemical_j == python->vehicle.books.chemical_j);
        drive_free(c);
        drive_free(python);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_update_of_the_c_app_changes_the_telemetry),
                cmocka_unit_test(an_update_of_the_python_app_changes_the_telemetry),
                cmocka_unit_test(both_apps_drive_alike),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
