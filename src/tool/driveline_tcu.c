/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* `driveline-tcu`: reads the command line and puts a simulated car under the agent (tcu/agent.h).
 */
#include "base/buf.h"
#include "base/clean.h"
#include "base/cli.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/loop.h"
#include "base/log.h"
#include "base/tls.h"
#include "tcu/agent.h"
#include "vehicle/vehicle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM "driveline-tcu"

static struct {
        const char *dir, *id, *identity, *mqtt, *server, *tenant, *target_token_file,
                *gateway_token_file, *app, *cycle, *unpacker, *log_level;
        int seed, time_scale, report_ms, spool_bytes;
        int64_t trial_ms, poll_ms, answer_ms, timeout_ms;
        bool interactive, version;
} arg = {.tenant = "DEFAULT",
        .cycle = "nedc",
        .log_level = "info",
        .seed = 1,
        .time_scale = 1,
        .report_ms = 1000,
        .spool_bytes = 64 * 1024 * 1024,
        .trial_ms = 10000,
        .answer_ms = 5000,
        .timeout_ms = 30000};

static const struct cli_option options[] = {
        {"dir", 'd', CLI_TEXT, &arg.dir, "DIR",
                "the agent's folder: slots, spool, state, update.log"},
        {"data", 0, CLI_TEXT, &arg.dir, "DIR", "the same as --dir"},
        {"id", 0, CLI_TEXT, &arg.id, "VIN",
                "who the car is (default: the certificate's common name)"},
        {"identity", 'i', CLI_TEXT, &arg.identity, "DIR",
                "folder with {thing}.private.key, {thing}.cert.pem and root-CA.crt"},
        {"mqtt", 0, CLI_TEXT, &arg.mqtt, "HOST:PORT",
                "the broker; none: telemetry stays in the spool"},
        {"server", 0, CLI_TEXT, &arg.server, "URL", "the update server (DDI); none: no updates"},
        {"tenant", 0, CLI_TEXT, &arg.tenant, "NAME",
                "tenant at the update server (default: DEFAULT)"},
        {"target-token-file", 0, CLI_TEXT, &arg.target_token_file, "FILE",
                "authenticate to the update server by the target's token in FILE"},
        {"gateway-token-file", 0, CLI_TEXT, &arg.gateway_token_file, "FILE",
                "the same by the tenant's gateway token"},
        {"app", 'a', CLI_TEXT, &arg.app, "DIR|ZIP",
                "the factory's app, installed if there is none yet"},
        {"cycle", 0, CLI_TEXT, &arg.cycle, "NAME|FILE",
                "drive cycle: nedc (default), ece15 or a CSV file with time_s,speed_mps"},
        {"interactive", 0, CLI_FLAG, &arg.interactive, NULL,
                "a person drives: start, accelerate [P], brake [P], coast, stop, status, quit on "
                "stdin"},
        {"seed", 0, CLI_INT, &arg.seed, "N", "seed of the simulated car (default: 1)"},
        {"time-scale", 0, CLI_INT, &arg.time_scale, "N",
                "seconds of the simulated car in a second (default: 1)"},
        {"report-ms", 0, CLI_INT, &arg.report_ms, "N", "telemetry once in N ms (default: 1000)"},
        {"answer-s", 0, CLI_DURATION, &arg.answer_ms, "TIME",
                "an app that doesn't answer for so long is restarted (default: 5s)"},
        {"trial-s", 0, CLI_DURATION, &arg.trial_ms, "TIME",
                "how long a new version must work to be kept (default: 10s)"},
        {"poll-s", 0, CLI_DURATION, &arg.poll_ms, "TIME",
                "poll the update server so often (default: as the server says)"},
        {"timeout-s", 0, CLI_DURATION, &arg.timeout_ms, "TIME",
                "give up a request after so long without a byte (default: 30s)"},
        {"spool-bytes", 0, CLI_INT, &arg.spool_bytes, "N",
                "size of the spool; the oldest messages go first (default: 67108864)"},
        {"unpack-command", 0, CLI_TEXT, &arg.unpacker, "COMMAND",
                "what starts driveline-unpack (default: the one beside this program)"},
        {"log-level", 0, CLI_TEXT, &arg.log_level, "LEVEL",
                "error, warning, info (default) or debug"},
        {"version", 'V', CLI_FLAG, &arg.version, NULL, "print the version"}, {0}};

static const char usage[] =
        "driveline-tcu --dir DIR [options]\n"
        "       driveline-tcu status --dir DIR [--output json]\n\n"
        "The telematics control unit: runs the vehicle app against a simulated car, sends its\n"
        "telemetry to the broker, and installs updates from a hawkBit-compatible server.\n"
        "A duration is a number of seconds or has a unit: 500ms, 10s, 5m.";

/* ── identity ── */

struct identity {
        char name[LIMIT_THING_NAME_BYTES + 1];
        char *ca_file, *cert_file, *key_file;
};

static void identity_fini(struct identity *i)
{
        free(i->ca_file);
        free(i->cert_file);
        free(i->key_file);
}

/* The only `{thing}.cert.pem` of the folder. */
static int find_thing(const char *dir, char *name, size_t size, struct err *err)
{
        static const char suffix[] = ".cert.pem";
        DIR *d = opendir(dir);
        if (!d)
                return err_errno(err, -errno, "cannot read the identity '%s'", dir);
        int n = 0;
        for (struct dirent *e; (e = readdir(d));) {
                size_t len = strlen(e->d_name), end = sizeof(suffix) - 1;
                if (len <= end || strcmp(e->d_name + len - end, suffix))
                        continue;
                n++;
                snprintf(name, size, "%.*s", (int)(len - end), e->d_name);
        }
        closedir(d);
        if (n == 1)
                return 0;
        return err_set(err, -ENOENT,
                "'%s' has %d certificates (*.cert.pem); one is needed, or --id", dir, n);
}

static int common_name(const char *cert_file, char *name, size_t size, struct err *err)
{
        CLEAN_FILE FILE *f = fopen(cert_file, "re");
        if (!f)
                return err_errno(err, -errno, "cannot read '%s'", cert_file);
        X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
        char serial[128];
        bool good = cert && tls_certificate_identity(cert, name, size, serial, sizeof(serial));
        X509_free(cert);
        return good ? 0
                    : err_set(err, -EINVAL, "'%s' is no certificate with a common name", cert_file);
}

static char *identity_file(const char *dir, const char *thing, const char *suffix)
{
        char *path = NULL;
        return asprintf(&path, "%s/%s%s", dir, thing, suffix) < 0 ? NULL : path;
}

static int take_identity(struct identity *i, struct err *err)
{
        char thing[256] = "";
        if (arg.id)
                snprintf(thing, sizeof(thing), "%s", arg.id);
        int r = 0;
        if (arg.identity) {
                if (!arg.id)
                        r = find_thing(arg.identity, thing, sizeof(thing), err);
                if (r)
                        return r;
                i->ca_file = identity_file(arg.identity, "root-CA.crt", "");
                i->cert_file = identity_file(arg.identity, thing, ".cert.pem");
                i->key_file = identity_file(arg.identity, thing, ".private.key");
                if (!i->ca_file || !i->cert_file || !i->key_file)
                        return err_set(err, -ENOMEM, "out of memory");
                r = common_name(i->cert_file, i->name, sizeof(i->name), err);
        }
        if (r)
                return r;
        if (arg.id)
                snprintf(i->name, sizeof(i->name), "%s", arg.id);
        if (!i->name[0])
                return err_set(err, -EINVAL, "who is the car? give --identity or --id");
        if (strlen(arg.id ? arg.id : i->name) > LIMIT_THING_NAME_BYTES || strpbrk(i->name, "/+# "))
                return err_set(err, -EINVAL, "'%s' can't be a thing's name", i->name);
        return 0;
}

static int take_token(const char *file, const char *scheme, struct buf *ret, struct err *err)
{
        CLEAN_BUF struct buf text = BUF_INIT(1024);
        int r = fs_read(file, &text, err);
        if (r)
                return r;
        size_t len = strcspn(buf_text(&text), " \t\r\n");
        if (!len)
                return err_set(err, -EINVAL, "'%s' has no token", file);
        return buf_addf(ret, "%s %.*s", scheme, (int)len, buf_text(&text));
}

/* `host:port` or `[v6]:port`; without a port 8883. */
static int take_address(const char *text, char *host, size_t size, int *ret_port, struct err *err)
{
        const char *colon = strrchr(text, ':');
        size_t len = colon ? (size_t)(colon - text) : strlen(text);
        char *end = NULL;
        long port = colon ? strtol(colon + 1, &end, 10) : 8883;
        if (text[0] == '[' && len > 2 && text[len - 1] == ']') {
                text++;
                len -= 2;
        }
        if (!len || len >= size || port < 1 || port > 65535 || (end && *end))
                return err_set(err, -EINVAL, "--mqtt needs HOST:PORT");
        snprintf(host, size, "%.*s", (int)len, text);
        *ret_port = (int)port;
        return 0;
}

/* ── the car ── */

static void sense(void *context, struct seam_sensors *ret)
{
        vehicle_sense(context, ret);
}

static void step(void *context, const struct seam_actuators *actuators, double dt_s)
{
        vehicle_step(context, actuators, dt_s);
}

struct person {
        struct agent *agent;
        struct vehicle *vehicle;
        struct event *on_line;
        struct buf typed;
};

static void print_car(const struct vehicle *v)
{
        struct seam_sensors s;
        vehicle_sense(v, &s);
        printf("%s, %.1f km/h, battery %.1f %%, %.0f W, %.2f Wh returned by braking\n",
                driver_mode_to_string(v->driver.mode), s.speed_mps * 3.6, s.battery_soc_pct,
                s.battery_power_w, s.braking_energy_wh);
}

static void obey(struct person *p, char *line)
{
        struct err err = ERR_INIT;
        line += strspn(line, " \t");
        line[strcspn(line, "\r")] = 0;
        if (!*line)
                return;
        if (!strcmp(line, "quit"))
                agent_stop(p->agent);
        else if (!strcmp(line, "status"))
                print_car(p->vehicle);
        else if (vehicle_command(p->vehicle, line, &err))
                printf("%s (also: status, quit)\n", err.text);
        else
                print_car(p->vehicle);
        fflush(stdout);
}

static void typed(evutil_socket_t fd, short what, void *context)
{
        struct person *p = context;
        char chunk[512];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n <= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
                event_del(p->on_line); /* nobody there any more; the car goes on as it is */
                return;
        }
        if (n < 0 || buf_add(&p->typed, chunk, (size_t)n)) {
                buf_clear(&p->typed);
                return;
        }
        char *end;
        while (p->typed.len && (end = memchr(p->typed.data, '\n', p->typed.len))) {
                *end = 0;
                obey(p, p->typed.data);
                buf_drop(&p->typed, (size_t)(end - p->typed.data) + 1);
        }
}

static int seat_person(struct event_base *base, struct person *p, struct err *err)
{
        /* A file can't be polled; a pipe and a terminal can. */
        p->on_line = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, typed, p);
        if (!p->on_line || event_add(p->on_line, NULL))
                return err_set(err, -EINVAL, "--interactive needs a terminal or a pipe on stdin");
        printf("start, accelerate [P], brake [P], coast, stop, status, quit\n");
        fflush(stdout);
        return 0;
}

/* ── running ── */

static int run_agent(
        struct event_base *base, const struct agent_options *o, struct vehicle *v, struct err *err)
{
        CLEAN(agent) struct agent *agent = NULL;
        int r = agent_new(base, o, &agent, err);
        if (r)
                return r;
        struct person person = {.agent = agent, .vehicle = v, .typed = BUF_INIT(4096)};
        if (arg.interactive)
                r = seat_person(base, &person, err);
        if (!r)
                r = agent_run(agent, err);
        if (person.on_line)
                event_free(person.on_line);
        buf_fini(&person.typed);
        return r;
}

static struct event_base *new_base(void)
{
        struct event_config *config = event_config_new();
        if (!config)
                return NULL;
        /* Ticks of a fast car are below the millisecond that epoll alone would give. */
        (void)event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
        struct event_base *base = event_base_new_with_config(config);
        event_config_free(config);
        return base;
}

static int run_car(struct agent_options *o, struct err *err)
{
        CLEAN(cycle) struct cycle *cycle = NULL;
        int r = arg.interactive ? 0 : cycle_open(arg.cycle, &cycle, err);
        if (r)
                return r;
        struct vehicle vehicle;
        struct vehicle_options v = VEHICLE_OPTIONS_INIT;
        v.cycle = cycle;
        v.seed = (uint64_t)arg.seed;
        vehicle_init(&vehicle, &v);
        o->plant = (struct app_plant){&vehicle, sense, step};
        struct event_base *base = new_base();
        if (!base)
                return err_set(err, -ENOMEM, "cannot make an event loop");
        r = run_agent(base, o, &vehicle, err);
        loop_free(base);
        return r;
}

static int fill(struct agent_options *o, const struct identity *i, char *host, size_t host_size,
        struct buf *authorization, struct err *err)
{
        *o = (struct agent_options){.dir = arg.dir,
                .id = i->name,
                .ca_file = i->ca_file,
                .cert_file = i->cert_file,
                .key_file = i->key_file,
                .server = arg.server,
                .tenant = arg.tenant,
                .app = arg.app,
                .unpacker = arg.unpacker,
                .time_scale = arg.time_scale,
                .report_ms = arg.report_ms,
                .answer_ms = arg.answer_ms,
                .trial_ms = arg.trial_ms,
                .poll_ms = arg.poll_ms,
                .timeout_ms = arg.timeout_ms,
                .spool_bytes = (uint64_t)arg.spool_bytes};
        int r = 0;
        if (arg.time_scale < 1 || arg.time_scale > 1000 || arg.report_ms < 10 ||
                arg.report_ms > 3600000 || arg.spool_bytes < 65536 || arg.answer_ms < 100 ||
                arg.answer_ms > 600000 || arg.trial_ms < 100 || arg.timeout_ms < 100 ||
                arg.timeout_ms > 3600000)
                return err_set(err, -EINVAL,
                        "a number is out of range: --time-scale 1 to 1000, --report-ms 10 to "
                        "3600000, --spool-bytes from 65536, times from 100ms");
        if (arg.mqtt) {
                r = take_address(arg.mqtt, host, host_size, &o->mqtt_port, err);
                o->mqtt_host = host;
        }
        if (!r && arg.target_token_file)
                r = take_token(arg.target_token_file, "TargetToken", authorization, err);
        else if (!r && arg.gateway_token_file)
                r = take_token(arg.gateway_token_file, "GatewayToken", authorization, err);
        if (authorization->len)
                o->authorization = buf_text(authorization);
        return r;
}

static int run(struct err *err)
{
        struct identity identity = {0};
        CLEAN_BUF struct buf authorization = BUF_INIT(1024);
        char host[256];
        struct agent_options o;
        int r = take_identity(&identity, err);
        if (!r)
                r = fill(&o, &identity, host, sizeof(host), &authorization, err);
        if (!r)
                r = run_car(&o, err);
        identity_fini(&identity);
        return r;
}

static int print_status(int argc, char **argv)
{
        const char *dir = NULL;
        const char *output = "text";
        const struct cli_option status_options[] = {
                {"dir", 'd', CLI_TEXT, &dir, "DIR", "the agent's folder"},
                {"data", 0, CLI_TEXT, &dir, "DIR", "the same as --dir"},
                {"output", 0, CLI_TEXT, &output, "FORM", "text (default) or json"}, {0}};
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline-tcu status --dir DIR [--output json]\n\n"
                    "Says what the agent of a folder does, and what it waits for.",
                    status_options, NULL, 0, &n, &code))
                return code;
        if (!dir) {
                fprintf(stderr, PROGRAM " status: which folder? give --dir\n");
                return CLI_MISUSE;
        }
        bool as_json = strcmp(output, "json") == 0;
        if (!as_json && strcmp(output, "text") != 0) {
                fprintf(stderr, PROGRAM " status: unknown form '%s': text or json\n", output);
                return CLI_MISUSE;
        }
        struct err err = ERR_INIT;
        return agent_print_status(dir, as_json, &err) ? cli_fail(PROGRAM " status", &err) : CLI_OK;
}

int main(int argc, char **argv)
{
        static char name[] = PROGRAM;
        size_t n;
        int code;
        argv[0] = name;
        if (argc > 1 && !strcmp(argv[1], "status"))
                return print_status(argc - 1, argv + 1);
        if (cli_parse(argc, argv, usage, options, NULL, 0, &n, &code))
                return code;
        if (arg.version) {
                printf(PROGRAM " " DRIVELINE_VERSION "\n");
                return CLI_OK;
        }
        enum log_level level;
        if (!arg.dir || log_level_from_string(arg.log_level, &level)) {
                fprintf(stderr, PROGRAM ": %s; see --help\n",
                        arg.dir ? "--log-level is error, warning, info or debug"
                                : "which folder? give --dir");
                return CLI_MISUSE;
        }
        log_setup(PROGRAM, level);
        struct err err = ERR_INIT;
        return run(&err) ? cli_fail(PROGRAM, &err) : CLI_OK;
}
