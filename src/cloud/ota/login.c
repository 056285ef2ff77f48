/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/login.h"

#include "base/buf.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "cloud/ota/credentials.h"
#include "cloud/ota/password.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define KEY_BYTES 32
#define KEYED "keyed:"
#define WAYS 4 /* places that an entry may have in a table */
#define N_REMEMBERED 1024
#define N_GUESSERS 4096

struct digest {
        uint8_t bytes[32];
};

struct remembered {
        struct digest of;
        int64_t until; /* 0: free */
};

/* Wrong passwords of a peer and name: `level` falls by one every LIMIT_LOGIN_PAUSE_MS. */
struct guesser {
        uint64_t of;
        double level;
        int64_t at;
};

struct job {
        struct job *next;
        struct http_exchange *x;
        struct login_result result;
        struct digest digest; /* of a check: what is remembered if it is right */
        uint64_t guesser;
        char peer[64];
        char *stored; /* of a check; NULL: there is no such user */
};

struct login {
        struct login_options options;
        uint8_t key[KEY_BYTES];
        struct remembered remembered[N_REMEMBERED];
        struct guesser guessers[N_GUESSERS];
        struct event *wake;
        int wake_fd;
        size_t n_waiting; /* in all, and not yet resumed */
        /* shared with the worker, under `lock` */
        pthread_t worker;
        bool has_worker, is_ending;
        pthread_mutex_t lock;
        pthread_cond_t work;
        struct job *todo, **todo_end, *done;
        char waiting[LIMIT_LOGIN_QUEUE][64]; /* peers of what waits; loop only */
};

/* ── digests ── */

static struct digest keyed_digest(const struct login *l, const char *const *parts, size_t n)
{
        struct digest d = {{0}};
        CLEAN_BUF struct buf all = BUF_INIT(LIMIT_KIB(8));
        for (size_t i = 0; i < n; i++)
                buf_add(&all, parts[i], strlen(parts[i]) + 1); /* the NUL divides */
        unsigned len = sizeof(d.bytes);
        if (all.error || !HMAC(EVP_sha256(), l->key, KEY_BYTES, (const unsigned char *)all.data,
                                 all.len, d.bytes, &len))
                abort();
        OPENSSL_cleanse(all.data, all.len);
        return d;
}

void login_keyed(const struct login *l, const char *password, char ret[LOGIN_KEYED_SIZE])
{
        struct digest d = keyed_digest(l, (const char *[]){"start", password}, 2);
        memcpy(ret, KEYED, sizeof(KEYED));
        hash_hex(d.bytes, sizeof(d.bytes), ret + strlen(KEYED));
}

static uint64_t number_of(const struct digest *d)
{
        uint64_t v;
        memcpy(&v, d->bytes, sizeof(v));
        return v;
}

/* ── what is remembered ── */

static struct remembered *find_remembered(struct login *l, const struct digest *d)
{
        struct remembered *set = &l->remembered[number_of(d) % (N_REMEMBERED / WAYS) * WAYS];
        for (int i = 0; i < WAYS; i++) {
                if (set[i].until > clock_mono_ms() &&
                        CRYPTO_memcmp(set[i].of.bytes, d->bytes, sizeof(d->bytes)) == 0)
                        return &set[i];
        }
        return NULL;
}

static void remember(struct login *l, const struct digest *d)
{
        struct remembered *set = &l->remembered[number_of(d) % (N_REMEMBERED / WAYS) * WAYS];
        struct remembered *oldest = set;
        for (int i = 1; i < WAYS; i++) {
                if (set[i].until < oldest->until)
                        oldest = &set[i];
        }
        *oldest = (struct remembered){*d, clock_mono_ms() + LIMIT_LOGIN_REMEMBER_MS};
}

/* ── who guesses ── */

static struct guesser *find_guesser(struct login *l, uint64_t of, bool create)
{
        struct guesser *set = &l->guessers[of % (N_GUESSERS / WAYS) * WAYS];
        struct guesser *oldest = set;
        for (int i = 0; i < WAYS; i++) {
                if (set[i].of == of && set[i].at)
                        return &set[i];
                if (set[i].at < oldest->at)
                        oldest = &set[i];
        }
        if (!create)
                return NULL;
        *oldest = (struct guesser){.of = of, .at = clock_mono_ms()};
        return oldest;
}

static double level_of(const struct guesser *g)
{
        double level = g->level - (double)(clock_mono_ms() - g->at) / LIMIT_LOGIN_PAUSE_MS;
        return level > 0 ? level : 0;
}

static void count_failure(struct login *l, uint64_t of)
{
        struct guesser *g = find_guesser(l, of, true);
        g->level = level_of(g) + 1;
        g->at = clock_mono_ms();
}

/* Seconds to wait; 0: go on. */
static int wait_of(struct login *l, uint64_t of)
{
        const struct guesser *g = l->options.max_failures ? find_guesser(l, of, false) : NULL;
        double over = g ? level_of(g) + 1 - l->options.max_failures : 0;
        return over > 0 ? (int)(over * LIMIT_LOGIN_PAUSE_MS / 1000) + 1 : 0;
}

/* ── jobs ── */

static void free_texts(char **texts, size_t n)
{
        for (size_t i = 0; texts && i < n; i++) {
                if (texts[i])
                        OPENSSL_cleanse(texts[i], strlen(texts[i]));
                free(texts[i]);
        }
        free(texts);
}

static void job_free(struct job *j)
{
        free_texts(j->result.passwords, j->result.n);
        free_texts(j->result.hashes, j->result.n);
        free(j->stored);
        free(j);
}

void login_result_free(struct login_result *result)
{
        if (result)
                job_free((struct job *)((char *)result - offsetof(struct job, result)));
}

static struct job *job_new(struct http_exchange *x, const char *peer, const char *const *passwords,
        size_t n, const char *stored)
{
        struct job *j = calloc(1, sizeof(*j));
        if (!j)
                return NULL;
        j->x = x;
        snprintf(j->peer, sizeof(j->peer), "%s", peer);
        j->result.n = n;
        j->result.passwords = calloc(n, sizeof(*j->result.passwords));
        j->result.hashes = calloc(n, sizeof(*j->result.hashes));
        j->stored = stored ? strdup(stored) : NULL;
        bool is_whole = j->result.passwords && j->result.hashes && (j->stored || !stored);
        for (size_t i = 0; is_whole && i < n; i++)
                is_whole = (j->result.passwords[i] = strdup(passwords[i]));
        if (is_whole)
                return j;
        job_free(j);
        return NULL;
}

static bool has_room(const struct login *l, const char *peer)
{
        size_t of_peer = 0;
        for (size_t i = 0; i < l->n_waiting; i++)
                of_peer += strcmp(l->waiting[i], peer) == 0;
        return l->n_waiting < LIMIT_LOGIN_QUEUE && of_peer < LIMIT_LOGIN_QUEUE_PER_PEER;
}

static void leave_queue(struct login *l, const char *peer)
{
        for (size_t i = 0; i < l->n_waiting; i++) {
                if (strcmp(l->waiting[i], peer) != 0)
                        continue;
                memmove(l->waiting[i], l->waiting[--l->n_waiting], sizeof(l->waiting[i]));
                return;
        }
}

static void enqueue(struct login *l, struct job *j)
{
        memcpy(l->waiting[l->n_waiting++], j->peer, sizeof(j->peer));
        pthread_mutex_lock(&l->lock);
        *l->todo_end = j;
        l->todo_end = &j->next;
        pthread_cond_signal(&l->work);
        pthread_mutex_unlock(&l->lock);
}

/* ── the worker ── */

static void make_hashes(struct job *j)
{
        char hash[PASSWORD_HASH_SIZE];
        for (size_t i = 0; i < j->result.n; i++) {
                if (password_hash(j->result.passwords[i], hash) == 0)
                        j->result.hashes[i] = strdup(hash);
                if (!j->result.hashes[i]) {
                        free_texts(TAKE(j->result.hashes), j->result.n);
                        return;
                }
        }
}

static void run_job(struct job *j)
{
        if (j->result.is_check)
                j->result.is_right = password_matches(j->result.passwords[0], j->stored);
        else
                make_hashes(j);
}

static void *work(void *arg)
{
        struct login *l = arg;
        pthread_mutex_lock(&l->lock);
        for (;;) {
                while (!l->todo && !l->is_ending)
                        pthread_cond_wait(&l->work, &l->lock);
                struct job *j = l->todo;
                if (l->is_ending)
                        break;
                l->todo = j->next;
                if (!l->todo)
                        l->todo_end = &l->todo;
                pthread_mutex_unlock(&l->lock);
                run_job(j);
                pthread_mutex_lock(&l->lock);
                j->next = l->done;
                l->done = j;
                (void)eventfd_write(l->wake_fd, 1); /* fails only when it is awake anyway */
        }
        pthread_mutex_unlock(&l->lock);
        return NULL;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
        struct login *l = arg;
        eventfd_t count;
        (void)what;
        (void)eventfd_read(fd, &count);
        pthread_mutex_lock(&l->lock);
        struct job *done = TAKE(l->done);
        pthread_mutex_unlock(&l->lock);
        while (done) {
                struct job *j = done;
                done = j->next;
                leave_queue(l, j->peer);
                if (j->result.is_check && j->result.is_right)
                        remember(l, &j->digest);
                else if (j->result.is_check)
                        count_failure(l, j->guesser);
                l->options.resume(l->options.arg, j->x, &j->result);
        }
}

/* ── calls ── */

enum login_verdict login_check(struct login *l, struct http_exchange *x, const char *peer,
        const char *name, const char *password, const char *stored, int *ret_wait_s)
{
        const char *parts[] = {peer, name, stored ? stored : "", password};
        char keyed[LOGIN_KEYED_SIZE];
        struct digest d = keyed_digest(l, parts, 4);
        struct digest who = keyed_digest(l, parts, 2);
        if (stored && find_remembered(l, &d))
                return LOGIN_RIGHT;
        *ret_wait_s = wait_of(l, number_of(&who));
        if (!*ret_wait_s && !has_room(l, peer))
                *ret_wait_s = 1;
        if (*ret_wait_s)
                return LOGIN_LIMITED;
        bool is_keyed = stored && strncmp(stored, KEYED, strlen(KEYED)) == 0;
        login_keyed(l, password, keyed);
        if (is_keyed && secret_equals(keyed, stored)) {
                remember(l, &d);
                return LOGIN_RIGHT;
        }
        struct job *j = job_new(x, peer, &password, 1, is_keyed ? NULL : stored);
        if (!j)
                return LOGIN_WRONG;
        j->result.is_check = true;
        j->digest = d;
        j->guesser = number_of(&who);
        enqueue(l, j);
        return LOGIN_WAITS;
}

int login_hash(struct login *l, struct http_exchange *x, const char *peer,
        const char *const *passwords, size_t n)
{
        struct job *j = has_room(l, peer) ? job_new(x, peer, passwords, n, NULL) : NULL;
        if (!j)
                return -EAGAIN;
        enqueue(l, j);
        return 0;
}

/* ── life ── */

/* Signals are the loop's; the worker shall not be the one that gets them. */
static int start_worker(struct login *l)
{
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = pthread_create(&l->worker, NULL, work, l);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        l->has_worker = r == 0;
        return -r;
}

int login_new(struct event_base *base, const struct login_options *options,
        struct login **ret_login, struct err *err)
{
        struct login *l = calloc(1, sizeof(*l));
        if (!l)
                return err_set(err, -ENOMEM, "out of memory");
        l->options = *options;
        l->todo_end = &l->todo;
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->work, NULL);
        l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        l->wake = l->wake_fd < 0 ? NULL
                                 : event_new(base, l->wake_fd, EV_READ | EV_PERSIST, on_done, l);
        if (!l->wake || event_add(l->wake, NULL) < 0 || hash_random(l->key, KEY_BYTES) < 0 ||
                start_worker(l) < 0) {
                login_free(l);
                return err_set(err, -ENOMEM, "cannot set up the check of passwords");
        }
        *ret_login = l;
        return 0;
}

static void free_jobs(struct job *j)
{
        while (j) {
                struct job *next = j->next;
                job_free(j);
                j = next;
        }
}

void login_free(struct login *l)
{
        if (!l)
                return;
        pthread_mutex_lock(&l->lock);
        l->is_ending = true;
        pthread_cond_signal(&l->work);
        pthread_mutex_unlock(&l->lock);
        if (l->has_worker)
                pthread_join(l->worker, NULL);
        free_jobs(l->todo);
        free_jobs(l->done);
        if (l->wake)
                event_free(l->wake);
        if (l->wake_fd >= 0)
                close(l->wake_fd);
        pthread_cond_destroy(&l->work);
        pthread_mutex_destroy(&l->lock);
        OPENSSL_cleanse(l->key, sizeof(l->key));
        free(l);
}
