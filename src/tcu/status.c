/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/status.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define SOCKET_NAME "tcu.sock"
#define ANSWER_TIMEOUT_S 3

struct status {
        struct evconnlistener *listener;
        char *path;
        json_t *(*describe)(void *arg);
        void *arg;
};

/* A socket's path has 107 bytes at most, a folder's may have more; through a descriptor it is
 * short. */
static int address_of(int dir_fd, struct sockaddr_un *ret)
{
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        int n = snprintf(
                ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/" SOCKET_NAME, dir_fd);
        return n < 0 || (size_t)n >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

static int open_dir(const char *dir, struct err *err)
{
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? err_errno(err, -errno, "cannot open '%s'", dir) : fd;
}

static void asked(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
        int len, void *arg)
{
        struct status *s = arg;
        CLEAN_JSON json_t *document = s->describe(s->arg);
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_KIB(16));
        /* It fits into the socket's buffer, so that one write is all and nobody can make us wait.
         */
        if (document && !json_append(&text, document) && !buf_addc(&text, '\n'))
                (void)!send(fd, buf_text(&text), text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(fd);
}

static int listen_in(struct event_base *base, int dir_fd, struct status *s)
{
        struct sockaddr_un address;
        int r = address_of(dir_fd, &address);
        if (r)
                return r;
        unlink(s->path); /* of an agent that was killed; ours holds the lock */
        s->listener = evconnlistener_new_bind(base, asked, s,
                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 8, (struct sockaddr *)&address,
                sizeof(address));
        return s->listener ? 0 : -errno;
}

int status_new(struct event_base *base, const char *dir, json_t *(*describe)(void *arg), void *arg,
        struct status **ret_status, struct err *err)
{
        CLEAN(status) struct status *s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        s->describe = describe;
        s->arg = arg;
        s->path = fs_join(dir, SOCKET_NAME);
        if (!s->path)
                return err_set(err, -ENOMEM, "out of memory");
        CLEAN_FD int dir_fd = open_dir(dir, err);
        if (dir_fd < 0)
                return dir_fd;
        int r = listen_in(base, dir_fd, s);
        if (r)
                return err_errno(err, r, "cannot listen on '%s'", s->path);
        *ret_status = TAKE(s);
        return 0;
}

void status_free(struct status *s)
{
        if (s->listener) {
                evconnlistener_free(s->listener);
                unlink(s->path);
        }
        free(s->path);
        free(s);
}

static int receive(int fd, struct buf *text)
{
        for (;;) {
                char *room = buf_reserve(text, 4096);
                if (!room)
                        return text->error;
                ssize_t n = recv(fd, room, 4096, 0);
                if (n <= 0)
                        return n ? -errno : 0;
                buf_grew(text, (size_t)n);
        }
}

int status_ask(const char *dir, json_t **ret_document, struct err *err)
{
        CLEAN_FD int dir_fd = open_dir(dir, err);
        if (dir_fd < 0)
                return dir_fd;
        struct sockaddr_un address;
        int r = address_of(dir_fd, &address);
        if (r)
                return err_errno(err, r, "cannot ask the agent of '%s'", dir);
        CLEAN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const struct timeval tv = {ANSWER_TIMEOUT_S, 0};
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ||
                connect(fd, (struct sockaddr *)&address, sizeof(address)))
                return err_errno(err, -errno, "cannot ask the agent of '%s'", dir);
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_KIB(64));
        r = receive(fd, &text);
        if (r)
                return err_errno(err, r, "the agent of '%s' doesn't answer", dir);
        *ret_document = json_parse(buf_text(&text), text.len, err);
        return *ret_document ? 0 : -EBADMSG;
}
