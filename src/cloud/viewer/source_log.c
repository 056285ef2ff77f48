/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/source_log.h"

#include "base/fs.h"
#include "base/limits.h"
#include "cloud/config/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ".log"
#define PARTS_MAX 32
/* Of each file's end: 1000 lines of the usual length. */
#define TAIL_BYTES LIMIT_KIB(128)

struct part {
        char name[64];
        off_t seen; /* bytes told by source_log_news() */
};

struct source_log {
        char *dir;
        struct part parts[PARTS_MAX];
        size_t n_parts;
};

struct line {
        const char *part, *text; /* of the parts' table and of a buffer */
        size_t len;
        size_t order; /* keeps lines of the same millisecond as they were written */
};

int source_log_new(
        const struct cloud_config *config, struct source_log **ret_source, struct err *err)
{
        CLEAN(source_log) struct source_log *s = calloc(1, sizeof(*s));
        if (!s || !(s->dir = cloud_path(config, CLOUD_LOG_DIR)))
                return err_set(err, -ENOMEM, "out of memory");
        *ret_source = TAKE(s);
        return 0;
}

void source_log_free(struct source_log *s)
{
        if (!s)
                return;
        free(s->dir);
        free(s);
}

/* ── files ── */

static void note_part(struct source_log *s, const char *file)
{
        size_t len = strlen(file);
        if (len <= strlen(SUFFIX) || file[0] == '.' ||
                strcmp(file + len - strlen(SUFFIX), SUFFIX) != 0)
                return;
        len -= strlen(SUFFIX);
        if (len >= sizeof(s->parts[0].name) || s->n_parts == PARTS_MAX)
                return;
        for (size_t i = 0; i < s->n_parts; i++) {
                if (strncmp(s->parts[i].name, file, len) == 0 && !s->parts[i].name[len])
                        return;
        }
        struct part *p = &s->parts[s->n_parts++];
        memcpy(p->name, file, len);
        p->name[len] = '\0';
        p->seen = 0;
}

static void find_parts(struct source_log *s)
{
        DIR *dir = opendir(s->dir);
        struct dirent *entry;
        while (dir && (entry = readdir(dir)))
                note_part(s, entry->d_name);
        if (dir)
                closedir(dir);
}

static int open_part(const struct source_log *s, const struct part *p)
{
        char name[sizeof(p->name) + sizeof(SUFFIX)];
        snprintf(name, sizeof(name), "%s%s", p->name, SUFFIX);
        CLEAN_MEM char *path = fs_join(s->dir, name);
        return path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

static off_t size_of(int fd)
{
        struct stat st;
        return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
}

/* Appends bytes [from, to) of the file; less if it became shorter. */
static void read_range(int fd, off_t from, off_t to, struct buf *b)
{
        size_t want = (size_t)(to - from);
        char *room = buf_reserve(b, want);
        ssize_t n = room ? pread(fd, room, want, from) : -1;
        if (n > 0)
                buf_grew(b, (size_t)n);
}

/* ── lines ── */

/* Room for the newest LIMIT_VIEWER_LOG_LINES of each part, so that none crowds out another before
 * all are in order. */
struct lines {
        size_t n, cap;
        struct line items[];
};

static struct lines *lines_new(size_t n_parts)
{
        size_t cap = LIMIT_VIEWER_LOG_LINES * (n_parts ? n_parts : 1);
        struct lines *l = malloc(sizeof(*l) + cap * sizeof(l->items[0]));
        if (l)
                *l = (struct lines){.cap = cap};
        return l;
}

/* Walks from the end, so that with too many lines the newest are kept. A first line that may have
 * begun before the range is left out. */
static void split_lines(
        const char *part, const char *text, size_t len, bool is_cut, struct lines *ret)
{
        size_t end = len && text[len - 1] == '\n' ? len - 1 : len;
        size_t full = ret->n + LIMIT_VIEWER_LOG_LINES;
        while (end > 0 && ret->n < full && ret->n < ret->cap) {
                const char *newline = memrchr(text, '\n', end);
                size_t start = newline ? (size_t)(newline - text) + 1 : 0;
                if (start == 0 && is_cut)
                        break;
                ret->items[ret->n] = (struct line){
                        .part = part, .text = text + start, .len = end - start, .order = ret->n};
                ret->n++;
                if (!newline)
                        break;
                end = start - 1;
        }
}

/* Lines begin with their time in ISO 8601, which sorts as text. Newest first; a line that has no
 * time (a continuation) sorts as what it is, so it may end up apart, but nothing is lost. */
static int newest_first(const void *a, const void *b)
{
        const struct line *x = a, *y = b;
        size_t n = x->len < y->len ? x->len : y->len;
        int c = memcmp(y->text, x->text, n < 24 ? n : 24);
        return c ? c : x->order < y->order ? -1 : x->order > y->order;
}

static json_t *lines_json(const struct lines *l, size_t max)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(4));
        size_t n = l->n < max ? l->n : max;
        buf_addc(&b, '[');
        for (size_t i = n; i-- > 0;) {
                buf_adds(&b, "{\"part\":");
                buf_add_json_string(&b, l->items[i].part, strlen(l->items[i].part));
                buf_adds(&b, ",\"text\":");
                buf_add_json_string(&b, l->items[i].text, l->items[i].len);
                buf_adds(&b, i ? "}," : "}");
        }
        buf_addc(&b, ']');
        return b.error ? json_array() : json_parse(b.data, b.len, NULL);
}

static void add_tail(
        const struct source_log *s, const struct part *p, struct buf *text, struct lines *ret)
{
        CLEAN_FD int fd = open_part(s, p);
        off_t size = size_of(fd);
        off_t from = size > (off_t)TAIL_BYTES ? size - (off_t)TAIL_BYTES : 0;
        if (size > 0)
                read_range(fd, from, size, text);
        split_lines(p->name, buf_text(text), text->len, from > 0, ret);
}

static json_t *part_names(const struct source_log *s)
{
        json_t *names = json_array();
        for (size_t i = 0; i < s->n_parts; i++)
                json_array_append_new(names, json_string(s->parts[i].name));
        return names;
}

json_t *source_log_tail(struct source_log *s, const char *part, size_t max, struct err *err)
{
        struct buf texts[PARTS_MAX];
        find_parts(s);
        CLEAN_MEM struct lines *all = lines_new(s->n_parts);
        if (!all) {
                err_set(err, -ENOMEM, "out of memory");
                return NULL;
        }
        for (size_t i = 0; i < s->n_parts; i++) {
                texts[i] = BUF_INIT(TAIL_BYTES + 1);
                if (!part || strcmp(part, s->parts[i].name) == 0)
                        add_tail(s, &s->parts[i], &texts[i], all);
        }
        if (!part &&
                s->n_parts > 1) /* a file alone is in order, with lines that have no time too */
                qsort(all->items, all->n, sizeof(all->items[0]), newest_first);
        json_t *ret =
                json_pack("{s:o, s:o}", "parts", part_names(s), "lines", lines_json(all, max));
        for (size_t i = 0; i < s->n_parts; i++)
                buf_fini(&texts[i]);
        return ret;
}

/* ── what is new ── */

uint64_t source_log_generation(struct source_log *s)
{
        uint64_t sum = 0;
        find_parts(s);
        for (size_t i = 0; i < s->n_parts; i++) {
                CLEAN_FD int fd = open_part(s, &s->parts[i]);
                sum += (uint64_t)size_of(fd);
        }
        return sum;
}

/* Whole lines only: the rest of a line comes with the next look. */
static void add_news(
        const struct source_log *s, struct part *p, struct buf *text, struct lines *ret)
{
        CLEAN_FD int fd = open_part(s, p);
        off_t size = size_of(fd);
        if (size < p->seen) /* rotated */
                p->seen = 0;
        bool is_cut = size - p->seen > (off_t)TAIL_BYTES;
        off_t from = is_cut ? size - (off_t)TAIL_BYTES : p->seen;
        if (size > from)
                read_range(fd, from, size, text);
        const char *last = text->len ? memrchr(text->data, '\n', text->len) : NULL;
        size_t whole = last ? (size_t)(last - text->data) + 1 : 0;
        p->seen = from + (off_t)whole;
        if (whole)
                split_lines(p->name, text->data, whole, is_cut, ret);
}

json_t *source_log_news(struct source_log *s)
{
        struct buf texts[PARTS_MAX];
        find_parts(s);
        CLEAN_MEM struct lines *all = lines_new(s->n_parts);
        if (!all)
                return NULL;
        for (size_t i = 0; i < s->n_parts; i++) {
                texts[i] = BUF_INIT(TAIL_BYTES + 1);
                add_news(s, &s->parts[i], &texts[i], all);
        }
        if (s->n_parts > 1)
                qsort(all->items, all->n, sizeof(all->items[0]), newest_first);
        json_t *ret = json_pack("{s:o}", "lines", lines_json(all, LIMIT_VIEWER_LOG_LINES));
        for (size_t i = 0; i < s->n_parts; i++)
                buf_fini(&texts[i]);
        return ret;
}

json_t *source_log_file(const char *path, size_t max, struct err *err)
{
        CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
        CLEAN_BUF struct buf text = BUF_INIT(TAIL_BYTES + 1);
        CLEAN_MEM struct lines *lines = lines_new(1);
        if (fd < 0 || !lines) {
                err_errno(err, fd < 0 ? -errno : -ENOMEM, "cannot read '%s'", path);
                return NULL;
        }
        off_t size = size_of(fd);
        off_t from = size > (off_t)TAIL_BYTES ? size - (off_t)TAIL_BYTES : 0;
        if (size > 0)
                read_range(fd, from, size, &text);
        split_lines("", buf_text(&text), text.len, from > 0, lines);
        return lines_json(lines, max);
}
