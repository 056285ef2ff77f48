/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/ota.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/http_server.h"
#include "base/limits.h"
#include "base/loop.h"
#include "base/log.h"
#include "base/tls.h"
#include "cloud/broker/broker.h"
#include "cloud/ota/auth.h"
#include "cloud/ota/auto_assign.h"
#include "cloud/ota/dmf.h"
#include "cloud/ota/due.h"
#include "cloud/ota/event_hub.h"
#include "cloud/ota/poll_cache.h"
#include "cloud/ota/polling.h"
#include "cloud/ota/request.h"
#include "cloud/ota/scheduler.h"
#include "cloud/ota/seen.h"
#include "cloud/ota/server.h"
#include "cloud/ota/upload.h"
#include "cloud/ota/view.h"
#include "cloud/registry/registry.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <string.h>

/* hawkBit's scheduler waits 2 s between rounds; a round with nothing to do is one indexed query
 * here. */
#define SCHEDULER_MS 300
#define CLEAN_UP_MS INT64_C(86400000)
/* A little more than what a handler takes, so that the refusal is a whole answer. Uploads have their
 * own way (upload.h). */
#define MAX_BODY_BYTES (LIMIT_JSON_BODY_BYTES + LIMIT_MIB(1))

/* The loop around a server: signals and timers. */
struct service {
        struct ota ota;
        struct event *terminate, *interrupt, *round, *flush, *clean_up;
        struct registry *registry; /* of the cloud; NULL alone */
        struct broker_hints *hints;
        SSL_CTX *tls;
        struct dmf *dmf; /* NULL: off */
};

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        event_base_loopbreak(((struct service *)arg)->ota.base);
}

static void on_round(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct ota *o = &((struct service *)arg)->ota;
        if (database_leads(o->database))
                scheduler_round(o);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
        struct ota *o = &((struct service *)arg)->ota;
        (void)fd;
        (void)what;
        seen_tick(o->seen, o);
}

static void on_clean_up(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct ota *o = &((struct service *)arg)->ota;
        if (database_leads(o->database))
                scheduler_clean_up(o);
}

static struct event *every(struct service *s, int64_t ms, event_callback_fn callback)
{
        struct timeval period = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
        struct event *e = event_new(s->ota.base, -1, EV_PERSIST, callback, s);
        if (e)
                event_add(e, &period);
        return e;
}

static struct event *on(struct service *s, int signal)
{
        struct event *e = evsignal_new(s->ota.base, signal, on_signal, s);
        if (e)
                event_add(e, NULL);
        return e;
}

static void free_event(struct event *e)
{
        if (e)
                event_free(e);
}

static void service_fini(struct service *s)
{
        struct ota *o = &s->ota;
        if (o->seen && o->database)
                seen_flush(o->seen, o);
        event_hub_free(o->hub);
        login_free(o->login);
        http_server_free(o->http);
        dmf_free(s->dmf);
        free_event(s->terminate);
        free_event(s->interrupt);
        free_event(s->round);
        free_event(s->flush);
        free_event(s->clean_up);
        broker_hints_free(s->hints);
        registry_free(s->registry);
        SSL_CTX_free(s->tls);
        due_free(o->due);
        sweeps_free(o->sweeps);
        seen_free(o->seen);
        poll_cache_free(o->polls);
        database_free(o->database);
        for (size_t i = 0; i < o->n_users; i++)
                user_fini(&o->users[i]);
        free(o->users);
        free(o->artifacts_dir);
        free(o->polling_time);
        free(o->certificate_tenant);
        free(o->viewer_address);
        loop_free(o->base);
}
#define CLEAN_SERVICE __attribute__((cleanup(service_fini)))

/* The links that devices download by, and those of the Management interface. */
static bool is_download(void *arg, const struct http_exchange *x)
{
        (void)arg;
        return strstr(http_path(x), "/artifacts/");
}

/* What both kinds of server share: database, artifacts, timers. */
static int service_open(struct service *s, const char *db_path, const char *artifacts_dir,
        const struct http_limits *limits, int stall_timeout_ms, struct err *err)
{
        struct ota *o = &s->ota;
        o->artifacts_dir = strdup(artifacts_dir);
        o->base = event_base_new();
        o->seen = seen_new();
        o->polls = poll_cache_new();
        o->sweeps = sweeps_new();
        o->due = o->base ? due_new(o->base, scheduler_pass, o) : NULL;
        if (!o->artifacts_dir || !o->base || !o->seen || !o->polls || !o->due || !o->sweeps)
                return err_set(err, -ENOMEM, "out of memory");
        int r = fs_mkdir_p(artifacts_dir, 0700, err);
        if (r == 0)
                r = database_open(db_path, &o->database, err);
        if (r == 0)
                r = event_hub_new(o, &o->hub, err);
        if (r < 0)
                return r;
        struct http_server_options options = {.max_body = MAX_BODY_BYTES,
                .limits = *limits,
                .stall_timeout_ms = stall_timeout_ms,
                .handle = dispatch,
                .is_download = is_download,
                .on_body = upload_on_body,
                .quick = poll_cache_quick,
                .arg = o};
        upload_tidy(o);
        return http_server_new(o->base, &options, &o->http, err);
}

static int service_run(struct service *s, struct err *err)
{
        signal(SIGPIPE, SIG_IGN); /* a client that went is an error of its connection */
        signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(2) */
        s->terminate = on(s, SIGTERM);
        s->interrupt = on(s, SIGINT);
        s->round = every(s, SCHEDULER_MS, on_round);
        s->flush = every(s, SEEN_TICK_MS, on_flush);
        s->clean_up = every(s, CLEAN_UP_MS, on_clean_up);
        if (!s->terminate || !s->interrupt || !s->round || !s->flush || !s->clean_up)
                return err_set(err, -ENOMEM, "out of memory");
        event_base_dispatch(s->ota.base);
        return 0;
}

/* ── listeners ── */

static int check_loopback(const char *address, struct err *err)
{
        static const char *const hosts[] = {"127.", "[::1]:", "localhost:"};
        for (size_t i = 0; i < N_ELEMENTS(hosts); i++) {
                if (strncmp(address, hosts[i], strlen(hosts[i])) == 0)
                        return 0;
        }
        return err_set(err, -EINVAL,
                "'%s' is not on loopback: plain HTTP is served there only; use https_listen or a "
                "proxy",
                address);
}

static int listen_plain(struct service *s, const char *address, struct err *err)
{
        int port = 0;
        int r = check_loopback(address, err);
        if (r == 0)
                r = http_server_listen(s->ota.http, address, NULL, &port, err);
        if (r == 0)
                log_info("update server on http://%.*s:%d", (int)(strrchr(address, ':') - address),
                        address, port);
        return r;
}

/* A tenant is there from the start, so that devices may come before any person. */
static int make_tenant(struct service *s, const char *tenant, struct err *err)
{
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        const char *name;
        ota_tx(&s->ota, &tx, &arena, &problem, 0, "system");
        tenant_find(&tx, tenant, true, &name);
        int r = tx_commit(&tx) < 0
                        ? err_set(err, -EIO, "cannot create the tenant: %s", problem.message)
                        : 0;
        problem_fini(&problem);
        arena_fini(&arena);
        return r;
}

/* ── gateways ── */

static int open_dmf(struct service *s, const struct ota_dmf *dmf, const char *url, struct err *err)
{
        struct dmf_options options = {.broker = dmf->broker,
                .password_file = dmf->password_file,
                .ca_file = dmf->ca_file,
                .urls = dmf->urls};
        if (!dmf->broker || !*dmf->broker)
                return 0;
        if (!options.urls || !*options.urls)
                options.urls = url;
        int r = 0;
        for (size_t i = 0; r == 0 && i < s->ota.n_users; i++)
                r = make_tenant(s, s->ota.users[i].tenant, err);
        if (r == 0)
                r = dmf_new(&s->ota, &options, &s->dmf, err);
        if (r == 0)
                ota_listen(&s->ota, dmf_tell, s->dmf);
        return r;
}

/* ── proxies ── */

static int set_proxies(
        struct ota *o, const char *const *texts, size_t n, bool uses_forwarded, struct err *err)
{
        o->uses_forwarded = uses_forwarded;
        int r = n ? 0 : proxy_list_add(&o->proxies, PROXY_LOOPBACK, err);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = proxy_list_add(&o->proxies, texts[i], err);
        return r;
}

/* ── users ── */

static int open_login(struct ota *o, int max_failures, struct err *err)
{
        struct login_options options = {
                .max_failures = max_failures, .resume = dispatch_again, .arg = o};
        return login_new(o->base, &options, &o->login, err);
}

/* ── alone ── */

static int add_users(struct ota *o, const char *const *users, size_t n, struct err *err)
{
        o->users = calloc(n ? n : 1, sizeof(*o->users));
        if (!o->users)
                return err_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++) {
                int r = user_parse(users[i], o->login, &o->users[i], err);
                if (r < 0)
                        return r;
                o->n_users++;
        }
        return 0;
}

static int listen_alone(struct service *s, const struct ota_standalone *options, struct err *err)
{
        int port = 0;
        int r = options->listen ? listen_plain(s, options->listen, err) : 0;
        if (r < 0 || !options->listen_tls)
                return r;
        if (!options->cert_file || !options->key_file)
                return err_set(err, -EINVAL, "--listen-tls needs --cert and --key");
        r = tls_server_new(options->cert_file, options->key_file, options->client_ca,
                options->client_ca ? TLS_PEER_OPTIONAL : TLS_PEER_NONE, &s->tls, err);
        if (r == 0)
                r = http_server_listen(s->ota.http, options->listen_tls, s->tls, &port, err);
        if (r == 0)
                log_info("update server on https port %d", port);
        return r;
}

int ota_serve_standalone(const struct ota_standalone *options, struct err *err)
{
        char url[256];
        CLEAN_SERVICE struct service s = {0};
        CLEAN_MEM char *db = fs_join(options->data_dir, CLOUD_OTA_DB);
        CLEAN_MEM char *artifacts = fs_join(options->data_dir, CLOUD_ARTIFACTS_DIR);
        if (!db || !artifacts)
                return err_set(err, -ENOMEM, "out of memory");
        int r = fs_mkdir_p(options->data_dir, 0700, err);
        if (r == 0)
                r = service_open(&s, options->database ? options->database : db, artifacts,
                        &options->limits, options->stall_timeout_ms, err);
        if (r == 0)
                r = open_login(&s.ota, options->login_failures, err);
        if (r == 0)
                r = add_users(&s.ota, options->users, options->n_users, err);
        if (r == 0 && options->users_file)
                r = users_read_file(
                        options->users_file, s.ota.login, &s.ota.users, &s.ota.n_users, err);
        if (r == 0)
                r = set_proxies(
                        &s.ota, options->proxies, options->n_proxies, options->uses_forwarded, err);
        if (r == 0)
                r = listen_alone(&s, options, err);
        snprintf(url, sizeof(url), options->listen ? "http://%s" : "https://%s",
                options->listen ? options->listen : options->listen_tls);
        if (r == 0)
                r = open_dmf(&s, &options->dmf, url, err);
        if (r < 0)
                return r;
        s.ota.has_both_links = options->has_both_links;
        return service_run(&s, err);
}

/* ── as part of the cloud ── */

static bool is_certificate_active(void *arg, const char *name, const char *serial)
{
        struct service *s = arg;
        return serial && registry_is_active(s->registry, name, serial);
}

static void tell(void *arg, int64_t tenant, const char *controller_id)
{
        (void)tenant; /* the cloud has one */
        broker_hint_poll(((struct service *)arg)->hints, controller_id);
}

static int read_admin(struct service *s, const struct cloud_config *config, struct err *err)
{
        struct ota *o = &s->ota;
        CLEAN_MEM char *path = cloud_path(config, CLOUD_ADMIN_PASSWORD);
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_KIB(4));
        o->users = calloc(1, sizeof(*o->users));
        if (!path || !o->users)
                return err_set(err, -ENOMEM, "out of memory");
        int r = fs_read(path, &text, err);
        if (r < 0)
                return r;
        text.data[strcspn(text.data, "\r\n")] = '\0';
        char stored[LOGIN_KEYED_SIZE];
        login_keyed(o->login, text.data, stored);
        OPENSSL_cleanse(text.data, text.len);
        r = user_set(
                &o->users[0], "admin", stored, config->tenant, "TENANT_ADMIN,SYSTEM_ADMIN", err);
        o->n_users = 1;
        return r;
}

static int open_tls(struct service *s, const struct cloud_config *config, struct err *err)
{
        CLEAN_MEM char *cert = cloud_path(config, CLOUD_SERVER_CERT);
        CLEAN_MEM char *key = cloud_path(config, CLOUD_SERVER_KEY);
        CLEAN_MEM char *ca = cloud_path(config, CLOUD_CA_CERT);
        if (!cert || !key || !ca)
                return err_set(err, -ENOMEM, "out of memory");
        return tls_server_new(cert, key, ca, TLS_PEER_OPTIONAL, &s->tls, err);
}

static int open_cloud(struct service *s, const struct cloud_config *config, struct err *err)
{
        struct ota *o = &s->ota;
        char interval[POLLING_TEXT_SIZE];
        polling_format(config->poll_interval_ms, interval);
        o->polling_time = strdup(interval);
        o->certificate_tenant = strdup(config->tenant);
        o->viewer_address = strdup(config->viewer_listen);
        o->has_both_links = true;
        o->is_certificate_active = is_certificate_active;
        o->arg = s;
        ota_listen(o, tell, s);
        int r = registry_open(config, &s->registry, err);
        if (r == 0)
                r = broker_hints_new(o->base, config, &s->hints, err);
        const char *proxies = config->trusted_proxies;
        if (r == 0)
                r = set_proxies(o, &proxies, 1, strcmp(config->forwarded_headers, "on") == 0, err);
        if (r == 0)
                r = open_login(o, (int)config->login_failures, err);
        if (r == 0)
                r = read_admin(s, config, err);
        if (r == 0)
                r = open_tls(s, config, err);
        if (r == 0)
                r = make_tenant(s, config->tenant, err);
        return r;
}

static int open_cloud_dmf(struct service *s, const struct cloud_config *config, struct err *err)
{
        char url[256];
        CLEAN_MEM char *password = cloud_path(config, CLOUD_DMF_PASSWORD);
        const struct ota_dmf dmf = {.broker = config->dmf_broker,
                .password_file = password,
                .ca_file = *config->dmf_ca_file ? config->dmf_ca_file : NULL,
                .urls = config->dmf_url};
        snprintf(url, sizeof(url), "http://%s", config->http_listen);
        return password ? open_dmf(s, &dmf, url, err) : err_set(err, -ENOMEM, "out of memory");
}

int ota_serve(const struct cloud_config *config, struct err *err)
{
        CLEAN_SERVICE struct service s = {0};
        CLEAN_MEM char *db = ota_database_of(config);
        CLEAN_MEM char *artifacts = cloud_path(config, CLOUD_ARTIFACTS_DIR);
        int port = 0;
        if (!db || !artifacts)
                return err_set(err, -ENOMEM, "out of memory");
        const struct http_limits limits = {.connections = (int)config->peer_connections,
                .reads = (int)config->peer_reads,
                .writes = (int)config->peer_writes,
                .spares_loopback = true};
        int r = service_open(&s, db, artifacts, &limits, (int)config->stall_timeout_ms, err);
        if (r == 0)
                r = open_cloud(&s, config, err);
        if (r == 0)
                r = listen_plain(&s, config->http_listen, err);
        if (r == 0)
                r = http_server_listen(s.ota.http, config->https_listen, s.tls, &port, err);
        if (r == 0)
                r = open_cloud_dmf(&s, config, err);
        if (r < 0)
                return r;
        log_ready("update server on http://%s, for devices on https port %d", config->http_listen,
                port);
        return service_run(&s, err);
}

/* `METHOD path`, and the permissions that it needs: A+B both, A|B one of them. */
static void print_route(FILE *out, const struct route *r)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_KIB(4));
        permissions_print(r->permission, r->flags & ROUTE_ANY_PERMISSION ? "|" : "+", &text);
        fprintf(out, "%s /rest/v1/%s%s%s\n", r->method, r->path, text.len ? " " : "",
                buf_text(&text));
}

void ota_print_routes(FILE *out)
{
        for (const struct route *r = mgmt_routes; r->method; r++)
                print_route(out, r);
        for (const struct route *r = ddi_routes; r->method; r++)
                fprintf(out, "%s /{tenant}/controller/v1/{id}%s%s\n", r->method,
                        *r->path ? "/" : "", r->path);
}
