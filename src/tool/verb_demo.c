/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* The whole run, played with the product's own commands: see tool/demo.h. */
#include "base/cli.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/pipeline/pipeline.h"
#include "tool/demo.h"
#include "tool/demo_cycle.h"
#include "tool/verb.h"
#include "wire/manifest.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TRIAL "3s"
#define FIRST_ROWS 3
/* What an author who more than doubles the blend expects at least. */
#define ENERGY_FACTOR 1.3
#define PIPELINE_TIMEOUT_MS 90000
#define UPDATE_TIMEOUT_MS 60000

static const char *const tables[] = {
        "Engine", "Battery", "AirConditioning", "Airbag", "HeatSeats", "ABS"};

/* ── the cloud, the things, the pipelines ── */

static int is_up(struct demo *d, void *arg, char *progress, size_t size, struct err *err)
{
        (void)arg;
        (void)err;
        snprintf(progress, size, "starting");
        CLEAN_MEM char *path = demo_path(d, "cloud/up.json");
        return path && fs_exists(path);
}

static int write_ports(struct demo *d, const char *conf, struct err *err)
{
        static const char *const keys[] = {
                "mqtt_listen", "http_listen", "https_listen", "viewer_listen"};
        CLEAN_BUF struct buf text = BUF_INIT(4096);
        long first = d->ports ? strtol(d->ports, NULL, 10) : 0;
        if (d->ports && (first < 1 || first > 65535 - (long)N_ELEMENTS(keys)))
                return err_set(err, -EINVAL, "--ports needs a port number below 65532");
        for (size_t i = 0; d->ports && i < N_ELEMENTS(keys); i++)
                buf_addf(&text, "%s = 127.0.0.1:%ld\n", keys[i], first + (long)i);
        return fs_write_atomic(conf, buf_text(&text), text.len, 0600, err);
}

static int start_cloud(struct demo *d, struct err *err)
{
        demo_begin(d, "start the cloud");
        CLEAN_MEM char *data = demo_path(d, "cloud");
        CLEAN_MEM char *conf = demo_path(d, "cloud/driveline.conf");
        if (!data || !conf)
                return err_errno(err, -ENOMEM, "cannot start");
        int r = fs_mkdir_p(data, 0700, err);
        if (!r)
                r = write_ports(d, conf, err);
        if (!r)
                r = cloud_config_load(data, &d->config, err);
        if (r < 0)
                return r;
        d->has_config = true;
        const char *const argv[] = {d->program, "--data", data, "up", NULL};
        r = demo_start(d, argv, "up.log", &d->up, err);
        if (!r)
                r = demo_wait(d, is_up, NULL, 30000, err);
        d->is_up = !r;
        if (!r)
                demo_end(d, "broker, store, update server, pipeline and page are ready");
        return r;
}

static int create_things(struct demo *d, struct err *err)
{
        demo_begin(d, "create a thing for each car");
        for (size_t i = 0; i < DEMO_CARS; i++) {
                CLEAN_MEM char *out = demo_path(d, "identity/%s", d->cars[i].name);
                const char *const argv[] = {d->program, "--data", d->config.data_dir, "thing",
                        "create", d->cars[i].name, "--out", out, NULL};
                int r = out ? demo_run(d, argv, NULL, NULL, err) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        demo_end(d, "key, certificate and least-privilege policy of %s and %s", d->cars[0].name,
                d->cars[1].name);
        return 0;
}

static int git(struct demo *d, const char *cwd, struct err *err, const char *verb, ...)
{
        const char *argv[16] = {
                "git", "-c", "user.name=Demo Author", "-c", "user.email=author@example.org", verb};
        size_t n = 6;
        va_list ap;
        va_start(ap, verb);
        while (n < N_ELEMENTS(argv) - 1 && (argv[n] = va_arg(ap, const char *)))
                n++;
        va_end(ap);
        argv[n] = NULL;
        return demo_run(d, argv, cwd, NULL, err);
}

/* Makes the pipeline from the app's sources and takes two clones of its repository: what the car
 * comes with, and where its developer works. */
static int create_pipeline(struct demo *d, const struct demo_car *car, struct err *err)
{
        CLEAN_MEM char *source = fs_join(d->apps_dir, car->project);
        CLEAN_MEM char *repo = demo_path(d, "cloud/pipeline/repos/%s.git", car->project);
        CLEAN_MEM char *factory = demo_path(d, "factory/%s", car->project);
        CLEAN_MEM char *work = demo_path(d, "work/%s", car->project);
        CLEAN_MEM char *history = demo_path(d, "factory/%s/.git", car->project);
        char filter[96];
        snprintf(filter, sizeof(filter), "controllerid==%s", car->name);
        /* Both ways of deploying are shown: a rollout for the C app, an assignment for the Python
         * app. */
        const char *deploy = strcmp(car->language, "c") ? "assignment" : "rollout";
        const char *const argv[] = {d->program, "--data", d->config.data_dir, "pipeline", "create",
                car->project, "--language", car->language, "--deploy", deploy, "--target-filter",
                filter, "--seed-from", source, NULL};
        if (!source || !repo || !factory || !work || !history)
                return err_errno(err, -ENOMEM, "cannot create the pipeline");
        int r = demo_run(d, argv, NULL, NULL, err);
        if (!r)
                r = git(d, d->dir, err, "clone", "-q", repo, factory, NULL);
        if (!r)
                r = git(d, d->dir, err, "clone", "-q", repo, work, NULL);
        return r ? r : fs_remove_tree(history, err);
}

/* The factory builds the app as its manifest says. */
static int build_factory(struct demo *d, const struct demo_car *car, struct err *err)
{
        CLEAN_MEM char *factory = demo_path(d, "factory/%s", car->project);
        CLEAN_MANIFEST struct manifest m = {0};
        CLEAN_COMMAND struct command command = {0};
        int r = factory ? manifest_read(factory, &m, err) : -ENOMEM;
        if (r < 0 || !m.build_command[0])
                return r;
        r = command_parse(m.build_command, &command, err);
        return r ? r : demo_run(d, (const char *const *)command.argv, factory, NULL, err);
}

static int create_pipelines(struct demo *d, struct err *err)
{
        demo_begin(d, "create a repository and a pipeline for each app");
        for (size_t i = 0; i < DEMO_CARS; i++) {
                int r = create_pipeline(d, &d->cars[i], err);
                if (!r)
                        r = build_factory(d, &d->cars[i], err);
                if (r < 0)
                        return r;
        }
        demo_end(d, "car-c (rollout), car-python (assignment)");
        return 0;
}

/* ── the cars ── */

struct rows {
        const struct demo_car *car;
        int wanted;
};

static int tables_fill(struct demo *d, void *arg, char *progress, size_t size, struct err *err)
{
        (void)err;
        const struct rows *rows = arg;
        int least = INT_MAX;
        for (size_t i = 0; i < N_ELEMENTS(tables); i++) {
                double n;
                demo_number(d, 0, &n, "SELECT count(*) FROM \"%s\" WHERE DeviceID='%s'", tables[i],
                        rows->car->name);
                if (n < least)
                        least = (int)n;
        }
        snprintf(progress, size, "%d of %d rows in each of %zu tables", least, rows->wanted,
                N_ELEMENTS(tables));
        return least >= rows->wanted;
}

static int start_car(struct demo *d, struct demo_car *car, struct err *err)
{
        char scale[16], server[80], log[80];
        CLEAN_MEM char *identity = demo_path(d, "identity/%s", car->name);
        CLEAN_MEM char *factory = demo_path(d, "factory/%s", car->project);
        car->dir = demo_path(d, "cars/%s", car->name);
        snprintf(scale, sizeof(scale), "%d", d->time_scale);
        snprintf(server, sizeof(server), "https://%s", d->config.https_listen);
        snprintf(log, sizeof(log), "%s.log", car->name);
        const char *const argv[] = {d->agent_program, "--dir", car->dir, "--identity", identity,
                "--mqtt", d->config.mqtt_listen, "--server", server, "--app", factory, "--cycle",
                DEMO_CYCLE, "--seed", "1", "--time-scale", scale, "--trial-s", TRIAL, NULL};
        if (!identity || !factory || !car->dir)
                return err_errno(err, -ENOMEM, "cannot start the car");
        return demo_start(d, argv, log, &car->agent, err);
}

static int start_cars(struct demo *d, struct err *err)
{
        demo_begin(d, "start the car with the C app");
        int r = start_car(d, &d->cars[0], err);
        struct rows rows = {&d->cars[0], FIRST_ROWS};
        if (!r)
                r = demo_wait(d, tables_fill, &rows, 30000, err);
        if (r < 0)
                return r;
        demo_end(d, "six tables fill, a row a second each");
        demo_begin(d, "start a second car with the Python app");
        r = start_car(d, &d->cars[1], err);
        rows.car = &d->cars[1];
        if (!r)
                r = demo_wait(d, tables_fill, &rows, 30000, err);
        if (!r)
                demo_end(d, "six tables fill");
        return r;
}

/* ── an update ── */

struct edit {
        const char *file, *from, *to; /* `from` NULL: `to` is put at the end of the file */
};

struct update {
        struct demo_car *car;
        const char *version, *message;
        struct edit edits[3];
        const char *outcome; /* state of the update's last event */

        /* what was seen */
        char commit[64];
        double begun_ms, ended_ms; /* by the car's clock */
        char cause[256];
        struct store_gap gap;
};

static int apply_edit(const char *dir, const struct edit *e, struct err *err)
{
        CLEAN_MEM char *path = fs_join(dir, e->file);
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_DOCUMENT_BYTES),
                             out = BUF_INIT(2 * LIMIT_DOCUMENT_BYTES);
        int r = path ? fs_read(path, &text, err) : -ENOMEM;
        if (r < 0)
                return r;
        const char *at = e->from ? strstr(buf_text(&text), e->from) : NULL;
        if (e->from && !at)
                return err_set(err, -ENOENT, "'%s' has no '%s'", path, e->from);
        size_t before = at ? (size_t)(at - text.data) : text.len;
        buf_add(&out, buf_text(&text), before);
        buf_adds(&out, e->to);
        if (at)
                buf_adds(&out, at + strlen(e->from));
        return out.error ? out.error : fs_write_atomic(path, out.data, out.len, 0644, err);
}

static int push_update(struct demo *d, struct update *u, struct err *err)
{
        CLEAN_MEM char *work = demo_path(d, "work/%s", u->car->project);
        int r = work ? 0 : -ENOMEM;
        for (size_t i = 0; !r && i < N_ELEMENTS(u->edits) && u->edits[i].file; i++)
                r = apply_edit(work, &u->edits[i], err);
        if (!r)
                r = git(d, work, err, "commit", "-q", "-a", "-m", u->message, NULL);
        if (!r)
                r = git(d, work, err, "push", "-q", NULL);
        CLEAN_BUF struct buf commit = BUF_INIT(4096);
        const char *const argv[] = {"git", "rev-parse", "HEAD", NULL};
        if (!r)
                r = demo_run(d, argv, work, &commit, err);
        if (!r)
                snprintf(u->commit, sizeof(u->commit), "%.*s",
                        (int)strcspn(buf_text(&commit), "\n"), buf_text(&commit));
        return r;
}

/* `source ok, build running`; NULL for no run of that commit yet. */
static json_t *run_of(struct demo *d, const struct update *u)
{
        CLEAN_JSON json_t *runs = pipeline_runs(&d->config, u->car->project, 5, NULL);
        size_t i;
        json_t *run;
        json_array_foreach(runs, i,
                run) if (!strncmp(json_text(run, "commit", "-"), u->commit,
                                 strlen(json_text(run, "commit", "-")))) return json_incref(run);
        return NULL;
}

static int run_has_ended(struct demo *d, void *arg, char *progress, size_t size, struct err *err)
{
        const struct update *u = arg;
        CLEAN_JSON json_t *run = run_of(d, u);
        if (!run) {
                snprintf(progress, size, "waiting for the run");
                return 0;
        }
        size_t i, at = 0;
        json_t *stage;
        json_array_foreach(json_object_get(run, "stages"), i, stage) if (at < size) at +=
                (size_t)snprintf(progress + at, size - at, "%s%s %s", i ? ", " : "",
                        json_text(stage, "name", ""), json_text(stage, "state", ""));
        const char *state = json_text(run, "state", "");
        if (!strcmp(state, "failed") || !strcmp(state, "canceled") || !strcmp(state, "cancelled"))
                return err_set(err, -ECHILD, "run %lld %s: %s", (long long)json_int(run, "id", 0),
                        state, json_text(run, "cause", ""));
        return !strcmp(state, "succeeded");
}

static int follow_run(struct demo *d, struct update *u, struct err *err)
{
        int r = demo_wait(d, run_has_ended, u, PIPELINE_TIMEOUT_MS, err);
        if (r < 0)
                return r;
        CLEAN_JSON json_t *run = run_of(d, u);
        char stages[256] = "";
        size_t i, at = 0;
        json_t *stage;
        json_array_foreach(json_object_get(run, "stages"), i,
                stage) if (at < sizeof(stages)) at += (size_t)snprintf(stages + at,
                sizeof(stages) - at, "%s%s %.1f s", i ? ", " : "", json_text(stage, "name", ""),
                (double)(json_int(stage, "ended_at", 0) - json_int(stage, "started_at", 0)) / 1000);
        demo_end(d, "run %lld: %s", (long long)json_int(run, "id", 0), stages);
        return 0;
}

/* The time of the update's event with that state; 0: it hasn't come. */
static double event_time(struct demo *d, const struct update *u, const char *state)
{
        double ms;
        demo_number(d, 0, &ms,
                "SELECT max(time) FROM \"Update\" WHERE DeviceID='%s' AND \"To\"='%s' AND "
                "State='%s'",
                u->car->name, u->version, state);
        return ms;
}

static int update_has_ended(struct demo *d, void *arg, char *progress, size_t size, struct err *err)
{
        static const char *const states[] = {"rolled_back", "failed", "confirmed", "trial",
                "installing", "downloaded", "downloading"};
        struct update *u = arg;
        for (size_t i = 0; i < N_ELEMENTS(states); i++) {
                double ms = event_time(d, u, states[i]);
                if (ms <= 0)
                        continue;
                snprintf(progress, size, "the car says: %s", states[i]);
                if (i > 2)
                        return 0;
                if (strcmp(states[i], u->outcome))
                        return err_set(err, -EPROTO, "the update to %s ended as '%s', not '%s'",
                                u->version, states[i], u->outcome);
                u->ended_ms = ms;
                return 1;
        }
        snprintf(progress, size, "the car hasn't heard of it");
        return 0;
}

struct fresh {
        const struct update *u;
        const char *version;
        double since_ms;
};

static int is_sending_again(struct demo *d, void *arg, char *progress, size_t size, struct err *err)
{
        (void)err;
        const struct fresh *f = arg;
        double n;
        demo_number(d, 0, &n,
                "SELECT count(*) FROM Engine WHERE DeviceID='%s' AND SoftwareVersion='%s' AND "
                "time>%.0f",
                f->u->car->name, f->version, f->since_ms);
        snprintf(progress, size, "%.0f of %d rows of version %s", n, FIRST_ROWS, f->version);
        return n >= FIRST_ROWS;
}

static int measure_gap(struct demo *d, struct update *u, struct err *err)
{
        int r = store_gap(d->store, u->car->name, (int64_t)u->begun_ms - 5000,
                (int64_t)u->ended_ms + 2500, &u->gap, err);
        if (!r && (u->gap.lost || u->gap.stored_twice))
                return err_set(err, -EPROTO,
                        "%lld messages of %s are missing and %lld are stored twice",
                        (long long)u->gap.lost, u->car->name, (long long)u->gap.stored_twice);
        return r;
}

static int install_update(
        struct demo *d, struct update *u, const char *version_after, struct err *err)
{
        int r = demo_wait(d, update_has_ended, u, UPDATE_TIMEOUT_MS, err);
        u->begun_ms = event_time(d, u, "downloading");
        struct fresh fresh = {u, version_after, u->ended_ms};
        if (!r)
                r = demo_wait(d, is_sending_again, &fresh, 20000, err);
        return r ? r : measure_gap(d, u, err);
}

/* ── what the parts say of it ── */

static int log_agrees(struct update *u, struct err *err)
{
        CLEAN_MEM char *path = fs_join(u->car->dir, "update.log");
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        int r = path ? fs_read(path, &text, err) : -ENOMEM;
        if (r < 0)
                return r;
        char to[64];
        snprintf(to, sizeof(to), " to=%s ", u->version);
        const char *line = NULL;
        for (const char *p = buf_text(&text); (p = strstr(p, to)); p++)
                line = p;
        const char *word = strcmp(u->outcome, "confirmed") ? u->outcome : "success";
        if (!line || strncmp(line + strlen(to), word, strlen(word)))
                return err_set(err, -EPROTO, "the car's update.log does not say '%s' of version %s",
                        word, u->version);
        const char *cause = line + strlen(to) + strlen(word);
        snprintf(u->cause, sizeof(u->cause), "%.*s", (int)strcspn(cause, "\n"), cause);
        return 0;
}

static int page_agrees(struct demo *d, const struct update *u, struct err *err)
{
        char target[128];
        snprintf(target, sizeof(target), "/api/updates?device=%s", u->car->name);
        CLEAN_JSON json_t *page = NULL;
        int r = demo_page(d, target, &page, err);
        if (r < 0)
                return r;
        size_t i;
        json_t *marker;
        json_array_foreach(json_object_get(page, "updates"), i,
                marker) if (!strcmp(json_text(marker, "to", ""), u->version) &&
                            !strcmp(json_text(marker, "state", ""), u->outcome)) return 0;
        return err_set(
                err, -EPROTO, "the page has no marker '%s' for version %s", u->outcome, u->version);
}

static int query_agrees(struct demo *d, const struct update *u, struct err *err)
{
        char sql[256];
        snprintf(sql, sizeof(sql),
                "SELECT State, \"From\", \"To\", Cause FROM \"Update\" WHERE DeviceID='%s' AND "
                "\"To\"='%s' ORDER BY time DESC LIMIT 1",
                u->car->name, u->version);
        CLEAN_BUF struct buf out = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        const char *const argv[] = {
                d->program, "--data", d->config.data_dir, "query", "--output", "json", sql, NULL};
        int r = demo_run(d, argv, NULL, &out, err);
        if (!r && !strstr(buf_text(&out), u->outcome))
                r = err_set(err, -EPROTO, "'driveline query' does not say '%s' of version %s",
                        u->outcome, u->version);
        return r;
}

static int all_agree(struct demo *d, struct update *u, struct err *err)
{
        demo_begin(d, "compare what the parts say");
        int r = log_agrees(u, err);
        if (!r)
                r = query_agrees(d, u, err);
        if (!r)
                r = page_agrees(d, u, err);
        if (!r)
                demo_end(d,
                        "update.log, query and the page's marker agree: %s %s%s; telemetry gap "
                        "%.2f s",
                        u->version, u->outcome, u->cause, (double)u->gap.max_gap_ms / 1000);
        return r;
}

/* ── the effect ── */

/* A whole cycle before the update and one after it. A disc takes many cycles to settle, so what is
 * compared is how much a cycle heats it. */
static int show_effect(struct demo *d, struct update *u, struct err *err)
{
        char title[96];
        struct demo_cycle before, after;
        snprintf(title, sizeof(title), "watch the effect on %s for a whole drive cycle",
                u->car->name);
        demo_begin(d, title);
        int r = demo_cycle_before(d, u->car->name, u->begun_ms, &before, err);
        if (!r)
                r = demo_cycle_after(d, u->car->name, u->ended_ms, &after, err);
        if (r < 0)
                return r;
        if (after.energy_wh < before.energy_wh * ENERGY_FACTOR || after.disc_c >= before.disc_c)
                return err_set(err, -EPROTO,
                        "the telemetry does not show the effect: %.0f → %.0f Wh a cycle, discs "
                        "%+.1f → %+.1f °C",
                        before.energy_wh, after.energy_wh, before.disc_c, after.disc_c);
        demo_end(d, "energy returned %.0f → %.0f Wh a cycle, front disc %+.1f → %+.1f °C a cycle",
                before.energy_wh, after.energy_wh, before.disc_c, after.disc_c);
        return 0;
}

/* ── the run ── */

static int deliver(struct demo *d, struct update *u, const char *title, const char *version_after,
        struct err *err)
{
        demo_begin(d, title);
        int r = push_update(d, u, err);
        if (!r)
                r = follow_run(d, u, err);
        if (r < 0)
                return r;
        int64_t pushed_ms = d->step_ms;
        demo_begin(d, strcmp(u->outcome, "confirmed")
                              ? "the car tries it and takes itself back"
                              : "the car downloads, verifies, installs and tries it");
        r = install_update(d, u, version_after, err);
        if (r < 0)
                return r;
        demo_end(d, "%s runs %s, %.1f s after the push", u->car->name, version_after,
                (double)(clock_mono_ms() - pushed_ms) / 1000);
        return all_agree(d, u, err);
}

static int play(struct demo *d, struct err *err)
{
        struct update c = {.car = &d->cars[0],
                .version = "1.1.0",
                .outcome = "confirmed",
                .message = "brakes: let the motor do 80 % of each braking",
                .edits = {{"regen.h", "REGEN_BLEND 0.30", "REGEN_BLEND 0.80"},
                        {"manifest.xml", "<version>1.0.0", "<version>1.1.0"}}};
        struct update python = {.car = &d->cars[1],
                .version = "1.1.0",
                .outcome = "confirmed",
                .message = "brakes: let the motor do 80 % of each braking",
                .edits = {{"regen.py", "REGEN_BLEND = 0.30", "REGEN_BLEND = 0.80"},
                        {"manifest.xml", "<version>1.0.0", "<version>1.1.0"}}};
        struct update bad = {.car = &d->cars[0],
                .version = "1.2.0",
                .outcome = "rolled_back",
                .message = "brakes: read the calibration table",
                .edits = {{"main.c", NULL,
                                  "\n#include <stdlib.h>\n\n__attribute__((constructor)) static "
                                  "void read_calibration(void)\n{\n"
                                  "        fputs(\"the calibration table is missing\\n\", "
                                  "stderr);\n        abort();\n}\n"},
                        {"manifest.xml", "<version>1.1.0", "<version>1.2.0"}}};
        int r = start_cloud(d, err);
        if (!r)
                r = create_things(d, err);
        if (!r)
                r = create_pipelines(d, err);
        if (!r)
                r = start_cars(d, err);
        if (!r) {
                demo_begin(d, "drive a whole cycle with version 1.0.0");
                struct demo_cycle any;
                r = demo_cycle_after(d, d->cars[0].name, 0, &any, err);
                if (!r)
                        r = demo_cycle_after(d, d->cars[1].name, 0, &any, err);
        }
        if (!r) {
                demo_end(d, "that is what the update will be compared with");
                r = deliver(d, &c, "push an update of the C app", "1.1.0", err);
        }
        if (!r)
                r = deliver(d, &python, "push an update of the Python app", "1.1.0", err);
        if (!r)
                r = show_effect(d, &c, err);
        if (!r) {
                demo_note(d, "from clone to the update's effect on the page: %.1f s",
                        (double)(clock_mono_ms() - d->started_ms) / 1000);
                r = show_effect(d, &python, err);
        }
        if (!r)
                r = deliver(
                        d, &bad, "push a bad update: an app that crashes at start", "1.1.0", err);
        if (!r)
                demo_note(d,
                        "telemetry gap, by sequence numbers: C %.2f s, Python %.2f s, taken back "
                        "%.2f s; nothing lost, nothing twice",
                        (double)c.gap.max_gap_ms / 1000, (double)python.gap.max_gap_ms / 1000,
                        (double)bad.gap.max_gap_ms / 1000);
        return r;
}

/* ── the verb ── */

/* Where the programs and the apps are: in the build folder of the sources, or installed. */
static int find_files(struct demo *d, const char *apps, struct err *err)
{
        CLEAN_MEM char *dir = fs_program_dir();
        if (!dir)
                return err_errno(err, -ENOMEM, "cannot find this program");
        d->program = fs_join(dir, "driveline");
        d->agent_program = fs_join(dir, "driveline-tcu");
        static const char *const places[] = {
                "../../../apps", "../../../../apps", "../share/driveline/apps"};
        for (size_t i = 0; !apps && !d->apps_dir && i < N_ELEMENTS(places); i++) {
                CLEAN_MEM char *place = fs_join(dir, places[i]);
                d->apps_dir = place ? realpath(place, NULL) : NULL;
        }
        if (apps)
                d->apps_dir = realpath(apps, NULL);
        if (!d->program || !d->agent_program || !d->apps_dir)
                return err_set(err, -ENOENT,
                        "cannot find the apps' sources; name their folder with --apps DIR");
        return 0;
}

/* ./demo tells when it was started, in seconds since boot, so that building counts. */
static int64_t start_time(void)
{
        const char *text = getenv("DEMO_STARTED_AT");
        struct timespec boot;
        clock_gettime(CLOCK_BOOTTIME, &boot);
        double now = (double)boot.tv_sec + (double)boot.tv_nsec / 1e9;
        double began = text ? strtod(text, NULL) : now;
        return clock_mono_ms() - (int64_t)((began > 0 && began <= now ? now - began : 0) * 1000);
}

static int wait_for_signal(struct demo *d, struct err *err)
{
        printf("\nThe cars go on driving. The page: http://%s/   (Ctrl-C ends everything)\n",
                d->config.viewer_listen);
        printf("Look into it from another terminal: %s --data %s query --last 1m\n", d->program,
                d->config.data_dir);
        fflush(stdout);
        while (!d->interrupted) {
                int r = demo_check(d, err);
                if (r < 0)
                        return r;
                event_base_loop(d->base, EVLOOP_ONCE);
        }
        puts("\nending the cars and the cloud …");
        return 0;
}

int verb_demo(void *context, int argc, char **argv)
{
        (void)context;
        static struct demo d = {.time_scale = 15,
                .cars = {{.name = "VIN-C-0001", .language = "c", .project = "car-c"},
                        {.name = "VIN-PY-0001", .language = "python", .project = "car-python"}}};
        bool once = false, keep = false;
        const char *apps = NULL;
        const struct cli_option options[] = {
                {"once", 0, CLI_FLAG, &once, NULL,
                        "end after the run; exit status 0 only if every step was verified"},
                {"keep", 0, CLI_FLAG, &keep, NULL,
                        "leave the run's folder (data, logs, keys) behind"},
                {"ports", 0, CLI_TEXT, (void *)&d.ports, "PORT",
                        "use PORT to PORT+3 in place of 8883, 8080, 8443 and 8088"},
                {"time-scale", 0, CLI_INT, &d.time_scale, "N",
                        "seconds of driving in a second: 1, 3, 5, 13, 15 (the default) or 39"},
                {"apps", 0, CLI_TEXT, (void *)&apps, "DIR", "where the apps' sources are"},
                {0},
        };
        const char *none[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline demo [options]\n\n"
                    "Starts a cloud and two simulated cars in a folder of its own and carries out "
                    "three updates\n"
                    "over the air: of a C app, of a Python app, and one that crashes and is taken "
                    "back by the car\n"
                    "itself. Each step is verified. Then it goes on until Ctrl-C.",
                    options, none, 0, &n, &code))
                return code;
        if (!demo_cycle_fits(d.time_scale)) {
                fprintf(stderr, "driveline demo: --time-scale takes 1, 3, 5, 13, 15 or 39, so that "
                                "a drive cycle is a whole number of rows\n");
                return CLI_MISUSE;
        }
        d.started_ms = start_time();
        d.is_terminal = isatty(STDOUT_FILENO);
        struct err err = ERR_INIT;
        int r = find_files(&d, apps, &err);
        if (!r)
                r = demo_init(&d, &err);
        if (!r)
                r = play(&d, &err);
        if (!r && !once)
                r = wait_for_signal(&d, &err);
        bool failed = r < 0 && r != -EINTR;
        if (failed) {
                if (d.line_open)
                        putchar('\n');
                fflush(stdout);
                cli_fail("driveline demo", &err);
                if (!d.is_up && strstr(err.text, "is taken"))
                        fprintf(stderr,
                                "driveline demo: or let the demo use other ports: --ports 18000\n");
        }
        demo_fini(&d, keep || (failed && d.is_up));
        if (!failed && r != -EINTR && once)
                puts("every step was verified");
        return r < 0 ? CLI_FAILED : CLI_OK;
}
