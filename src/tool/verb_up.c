/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/broker/broker.h"
#include "cloud/supervisor/supervisor.h"
#include "tool/registry_session.h"
#include "tool/verb.h"

#include <errno.h>
#include <event2/util.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>

#define UP_LOCK "run.lock"
/* Written when everything is ready, removed at the end: {"pid":…,"page":…}. */
#define UP_FILE "up.json"
/* A data folder needs room for the stream, the store and builds; below this nothing works for long.
 */
#define UP_FREE_BYTES LIMIT_MIB(64)

struct up {
        const struct cloud_config *config;
        int64_t started_ms;
};

/* Each port is tried before anything starts, so that a taken one is said in one line. */
static int check_port(const char *key, const char *address, struct err *err)
{
        struct sockaddr_storage where;
        int len = sizeof(where), on = 1, r = 0;
        if (evutil_parse_sockaddr_port(address, (struct sockaddr *)&where, &len) < 0)
                return err_set(err, -EINVAL, "'%s' of %s is no numeric address", address, key);
        CLEAN_FD int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return err_errno(err, -errno, "cannot check %s", key);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&where, (socklen_t)len) < 0)
                r = -errno;
        else if (listen(fd, 1) < 0)
                r = -errno;
        if (r == -EADDRINUSE)
                return err_set(err, r,
                        "%s is taken: end the program that listens there, or set %s in "
                        "driveline.conf",
                        address, key);
        return r < 0 ? err_errno(err, r, "cannot listen on %s (%s)", address, key) : 0;
}

static int check_ports(const struct cloud_config *c, struct err *err)
{
        int r = check_port("mqtt_listen", c->mqtt_listen, err);
        if (!r)
                r = check_port("http_listen", c->http_listen, err);
        if (!r)
                r = check_port("https_listen", c->https_listen, err);
        return r ? r : check_port("viewer_listen", c->viewer_listen, err);
}

static int make_folders(const struct cloud_config *c, struct err *err)
{
        CLEAN_MEM char *log_dir = cloud_path(c, CLOUD_LOG_DIR);
        if (!log_dir)
                return err_errno(err, -ENOMEM, "cannot start");
        int r = fs_mkdir_p(c->data_dir, 0700, err);
        if (!r)
                r = fs_mkdir_p(log_dir, 0700, err);
        uint64_t free_bytes = 0;
        if (!r && fs_free_bytes(c->data_dir, &free_bytes) == 0 && free_bytes < UP_FREE_BYTES)
                r = err_set(err, -ENOSPC,
                        "'%s' has only %llu MiB left: free some space, or choose another folder "
                        "with --data",
                        c->data_dir, (unsigned long long)(free_bytes >> 20));
        return r;
}

/* One cloud a data folder. The descriptor holds the lock until the program ends. */
static int lock(const struct cloud_config *c, int *ret_fd, struct err *err)
{
        CLEAN_MEM char *path = cloud_path(c, UP_LOCK);
        CLEAN_FD int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
        if (fd < 0)
                return err_errno(err, path ? -errno : -ENOMEM, "cannot lock '%s'", c->data_dir);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return err_set(err, -EBUSY, "a cloud is already running on '%s'", c->data_dir);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static void all_ready(void *arg)
{
        const struct up *up = arg;
        const struct cloud_config *c = up->config;
        printf("broker         mqtts://%s\n"
               "update server  https://%s (devices), http://%s (management)\n"
               "page           http://%s/\n"
               "data           %s\n"
               "ready in %.2f s; Ctrl-C ends it\n",
                c->mqtt_listen, c->https_listen, c->http_listen, c->viewer_listen, c->data_dir,
                (double)(clock_mono_ms() - up->started_ms) / 1000);
        fflush(stdout);
        CLEAN_MEM char *path = cloud_path(c, UP_FILE);
        CLEAN_MEM char *page = NULL;
        if (!path || asprintf(&page, "http://%s/", c->viewer_listen) < 0)
                return;
        CLEAN_JSON json_t *file = json_pack("{s:i,s:s}", "pid", (int)getpid(), "page", page);
        struct err err = ERR_INIT;
        if (!file || json_write_file(path, file, 0600, &err) < 0)
                log_warning("%s", err.text);
}

static void forget_ready(const struct cloud_config *c)
{
        CLEAN_MEM char *path = cloud_path(c, UP_FILE);
        if (path)
                unlink(path);
}

static int run_parts(const struct cloud_config *c, const char *program, bool echo, struct err *err)
{
        struct broker_command broker = {0};
        int r = broker_command(c, &broker, err);
        if (r < 0)
                return r;
        CLEAN_MEM char *log_file = cloud_path(c, CLOUD_LOG_DIR "/driveline.log");
        static const char *const roles[] = {"store", "ota", "pipeline", "viewer"};
        struct supervisor_part parts[1 + N_ELEMENTS(roles)] = {
                /* The store follows the stream and is stopped last, so that it drains it. */
                {.name = roles[0], .ready_text = LOG_READY_TEXT},
                {.name = "mosquitto", .ready_text = " running"},
                {.name = roles[1], .ready_text = LOG_READY_TEXT},
                {.name = roles[2], .ready_text = LOG_READY_TEXT},
                {.name = roles[3], .ready_text = LOG_READY_TEXT},
        };
        for (size_t i = 0; i < N_ELEMENTS(parts); i++) {
                if (i == 1) {
                        memcpy(parts[i].argv, broker.argv, sizeof(broker.argv));
                        continue;
                }
                const char *argv[] = {program, "--data", c->data_dir, "serve", parts[i].name, NULL};
                memcpy(parts[i].argv, argv, sizeof(argv));
        }
        struct up up = {c, clock_mono_ms()};
        const struct supervisor_options options = {.parts = parts,
                .n_parts = N_ELEMENTS(parts),
                .log_file = log_file,
                .echo = echo,
                .on_ready = all_ready,
                .arg = &up};
        r = log_file ? supervisor_run(&options, err) : err_errno(err, -ENOMEM, "cannot start");
        broker_command_fini(&broker);
        return r;
}

static int up(const struct cloud_config *c, bool echo, struct err *err)
{
        CLEAN_FD int lock_fd = -1;
        char program[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
        if (n < 0)
                return err_errno(err, -errno, "cannot find this program's own file");
        program[n] = 0;
        int r = make_folders(c, err);
        if (!r)
                r = lock(c, &lock_fd, err);
        if (!r)
                r = check_ports(c, err);
        if (!r)
                r = registry_init(c, err);
        if (!r)
                r = broker_write_config(c, err);
        if (!r) {
                r = run_parts(c, program, echo, err);
                forget_ready(c);
        }
        return r;
}

int verb_up(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        bool verbose = false;
        const struct cli_option options[] = {
                OPTION_DATA(v),
                {"verbose", 'v', CLI_FLAG, &verbose, NULL, "print the parts' log here too"},
                {0},
        };
        const char *none[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline up [options]\n\n"
                    "Starts the broker, the store, the update server, the pipeline and the page on "
                    "this\n"
                    "machine, watches them, and ends them on Ctrl-C. Everything listens on "
                    "loopback only;\n"
                    "keys, certificates and passwords are made at the first start. Ports and "
                    "limits are\n"
                    "set in DATA/driveline.conf; 'driveline config' prints a sample.",
                    options, none, 0, &n, &code))
                return code;
        struct cloud_config config;
        struct err err = ERR_INIT;
        if (cloud_config_load(v->data_dir, &config, &err) < 0)
                return cli_fail("driveline up", &err);
        enum log_level level = LOG_LEVEL_INFO;
        (void)log_level_from_string(config.log_level, &level);
        log_setup("up", level);
        int r = up(&config, verbose, &err);
        cloud_config_fini(&config);
        return r < 0 ? cli_fail("driveline up", &err) : CLI_OK;
}
