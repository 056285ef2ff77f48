/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/buildspec.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

const char *build_phase_to_string(enum build_phase phase)
{
        static const char *const names[BUILD_PHASE_N] = {
                "install", "pre_build", "build", "post_build"};
        return names[phase];
}

void buildspec_fini(struct buildspec *spec)
{
        for (size_t i = 0; i < spec->n_steps; i++) {
                free(spec->steps[i].text);
                command_fini(&spec->steps[i].words);
        }
        for (size_t i = 0; i < spec->n_files; i++)
                free(spec->files[i]);
        free(spec->steps);
        free(spec->files);
        free(spec->environment);
        *spec = (struct buildspec){0};
}

int buildspec_add(struct buildspec *spec, enum build_phase phase, const char *command, int line,
        struct err *err)
{
        if (spec->n_steps == LIMIT_BUILD_COMMANDS)
                return err_set(err, -E2BIG, "more than %d commands", LIMIT_BUILD_COMMANDS);
        struct build_step *steps = reallocarray(spec->steps, spec->n_steps + 1, sizeof(*steps));
        if (!steps)
                return err_errno(err, -ENOMEM, "command '%s'", command);
        spec->steps = steps;
        struct build_step step = {.phase = phase, .line = line};
        int r = command_parse(command, &step.words, err);
        if (r < 0)
                return r;
        step.text = strdup(command);
        if (!step.text) {
                command_fini(&step.words);
                return err_errno(err, -ENOMEM, "command '%s'", command);
        }
        steps[spec->n_steps++] = step;
        return 0;
}

/* ── the document as libyaml loads it: nodes with the line they began at ── */

struct reader {
        yaml_document_t document;
        struct buildspec *spec;
        struct err *err;
};

static int line_of(const yaml_node_t *node)
{
        return (int)node->start_mark.line + 1;
}

static int bad(struct reader *r, const yaml_node_t *node, const char *what)
{
        return err_set(r->err, -EINVAL, "line %d: %s", line_of(node), what);
}

/* The text of a scalar; NULL for anything else or with a NUL inside. */
static const char *scalar(const yaml_node_t *node)
{
        if (!node || node->type != YAML_SCALAR_NODE)
                return NULL;
        const char *text = (const char *)node->data.scalar.value;
        return strlen(text) == node->data.scalar.length ? text : NULL;
}

struct key {
        const char *name;
        int (*read)(struct reader *r, const yaml_node_t *value, int argument);
        int argument;
};

static int unknown_key(
        struct reader *r, const yaml_node_t *node, const char *name, const struct key *keys)
{
        char known[160] = "";
        for (size_t i = 0, n = 0; keys[i].name && n < sizeof(known); i++)
                n += (size_t)snprintf(
                        known + n, sizeof(known) - n, "%s%s", i ? ", " : "", keys[i].name);
        return err_set(r->err, -EINVAL, "line %d: unknown key '%s': there are %s", line_of(node),
                name ? name : "?", known);
}

/* Reads a mapping by a table of its keys, which may each come once. */
static int read_mapping(struct reader *r, const yaml_node_t *node, const struct key *keys)
{
        if (!node || node->type != YAML_MAPPING_NODE)
                return node ? bad(r, node, "a mapping (`key: value` lines) is expected here")
                            : -EINVAL;
        unsigned seen = 0;
        for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
                p++) {
                const yaml_node_t *k = yaml_document_get_node(&r->document, p->key);
                const yaml_node_t *v = yaml_document_get_node(&r->document, p->value);
                const char *name = scalar(k);
                unsigned i = 0;
                while (name && keys[i].name && strcmp(keys[i].name, name) != 0)
                        i++;
                if (!name || !keys[i].name)
                        return unknown_key(r, k, name, keys);
                if (seen & 1u << i)
                        return err_set(
                                r->err, -EINVAL, "line %d: '%s' comes twice", line_of(k), name);
                seen |= 1u << i;
                int e = keys[i].read(r, v, keys[i].argument);
                if (e < 0)
                        return e;
        }
        return 0;
}

static int read_list(struct reader *r, const yaml_node_t *node,
        int (*each)(struct reader *r, const yaml_node_t *item, const char *text, int argument),
        int argument)
{
        if (node->type != YAML_SEQUENCE_NODE)
                return bad(r, node, "a list (`- item` lines) is expected here");
        for (yaml_node_item_t *i = node->data.sequence.items.start;
                i < node->data.sequence.items.top; i++) {
                const yaml_node_t *item = yaml_document_get_node(&r->document, *i);
                const char *text = scalar(item);
                if (!text)
                        return bad(r, item,
                                "a text is expected here; put it in quotes if it has ': ' in it");
                int e = each(r, item, text, argument);
                if (e < 0)
                        return e;
        }
        return 0;
}

static int add_command(struct reader *r, const yaml_node_t *item, const char *text, int phase)
{
        if (buildspec_add(r->spec, (enum build_phase)phase, text, line_of(item), r->err) < 0)
                return err_prefix(r->err, "line %d", line_of(item));
        return 0;
}

static int read_commands(struct reader *r, const yaml_node_t *value, int phase)
{
        return read_list(r, value, add_command, phase);
}

static int read_phase(struct reader *r, const yaml_node_t *value, int phase)
{
        const struct key keys[] = {{"commands", read_commands, phase}, {NULL}};
        return read_mapping(r, value, keys);
}

static int read_phases(struct reader *r, const yaml_node_t *value, int argument)
{
        (void)argument;
        static const struct key keys[] = {{"install", read_phase, BUILD_INSTALL},
                {"pre_build", read_phase, BUILD_PRE_BUILD}, {"build", read_phase, BUILD_BUILD},
                {"post_build", read_phase, BUILD_POST_BUILD}, {NULL}};
        return read_mapping(r, value, keys);
}

static bool climbs_out(const char *pattern)
{
        if (*pattern == '/')
                return true;
        for (const char *p = pattern; p; p = strchr(p, '/')) {
                p += *p == '/';
                if (p[0] == '.' && p[1] == '.' && (!p[2] || p[2] == '/'))
                        return true;
        }
        return false;
}

static int add_file(struct reader *r, const yaml_node_t *item, const char *text, int argument)
{
        (void)argument;
        struct buildspec *spec = r->spec;
        if (!*text || strlen(text) > LIMIT_PACKAGE_PATH_BYTES || climbs_out(text))
                return bad(r, item, "a file is a path inside the repository");
        if (spec->n_files == LIMIT_BUILD_PATTERNS)
                return bad(r, item, "too many files: use patterns");
        char **files = reallocarray(spec->files, spec->n_files + 1, sizeof(*files));
        if (!files)
                return err_errno(r->err, -ENOMEM, "line %d", line_of(item));
        spec->files = files;
        files[spec->n_files] = strdup(text);
        if (!files[spec->n_files])
                return err_errno(r->err, -ENOMEM, "line %d", line_of(item));
        spec->n_files++;
        return 0;
}

static int read_files(struct reader *r, const yaml_node_t *value, int argument)
{
        return read_list(r, value, add_file, argument);
}

static int read_artifacts(struct reader *r, const yaml_node_t *value, int argument)
{
        (void)argument;
        static const struct key keys[] = {{"files", read_files, 0}, {NULL}};
        return read_mapping(r, value, keys);
}

static int read_version(struct reader *r, const yaml_node_t *value, int argument)
{
        (void)argument;
        const char *text = scalar(value);
        if (!text || (strcmp(text, "1") != 0 && strcmp(text, "0.2") != 0))
                return bad(r, value, "unknown version: write 'version: 1'");
        return 0;
}

static int read_environment(struct reader *r, const yaml_node_t *value, int argument)
{
        (void)argument;
        const char *text = scalar(value);
        if (!text || !*text)
                return bad(r, value, "the name of a build environment is expected here");
        r->spec->environment = strdup(text);
        return r->spec->environment ? 0 : err_errno(r->err, -ENOMEM, "line %d", line_of(value));
}

static int read_root(struct reader *r)
{
        static const struct key keys[] = {{"version", read_version, 0},
                {"environment", read_environment, 0}, {"phases", read_phases, 0},
                {"artifacts", read_artifacts, 0}, {NULL}};
        const yaml_node_t *root = yaml_document_get_root_node(&r->document);
        if (!root)
                return err_set(r->err, -EINVAL, "the file is empty");
        return read_mapping(r, root, keys);
}

static int by_phase(const void *a, const void *b)
{
        const struct build_step *x = a, *y = b;
        return x->phase != y->phase ? (int)x->phase - (int)y->phase : x->line - y->line;
}

static int load(const char *text, size_t len, struct reader *r)
{
        yaml_parser_t parser;
        if (!yaml_parser_initialize(&parser))
                return err_errno(r->err, -ENOMEM, "cannot read YAML");
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
        int e = 0;
        if (!yaml_parser_load(&parser, &r->document))
                e = err_set(r->err, -EINVAL, "line %zu: %s", parser.problem_mark.line + 1,
                        parser.problem ? parser.problem : "this is no YAML");
        yaml_parser_delete(&parser);
        return e;
}

int buildspec_parse(const char *text, size_t len, struct buildspec *ret, struct err *err)
{
        CLEAN_BUILDSPEC struct buildspec spec = {0};
        struct err local = ERR_INIT;
        struct reader r = {.spec = &spec, .err = err ? err : &local};
        if (len > LIMIT_DOCUMENT_BYTES)
                return err_set(
                        err, -E2BIG, "the file has more than %zu bytes", LIMIT_DOCUMENT_BYTES);
        int e = load(text, len, &r);
        if (e < 0)
                return e;
        e = read_root(&r);
        yaml_document_delete(&r.document);
        if (e < 0)
                return e;
        if (spec.n_steps)
                qsort(spec.steps, spec.n_steps, sizeof(*spec.steps), by_phase);
        *ret = spec;
        spec = (struct buildspec){0};
        return 0;
}

/* Only the last star of each kind is ever taken back (what an earlier one could gain, a later one
 * can gain too), so a pattern of many stars cannot make this slow. */
struct retry {
        const char *pattern; /* after the star; NULL: no star yet */
        const char *path;    /* where its match was tried last */
        bool whole_folders;  /* two stars and a slash: only at the start of a name */
};

static bool again(struct retry *t, const char **pattern, const char **path)
{
        if (!t->pattern)
                return false;
        if (t->whole_folders) {
                const char *slash = strchr(t->path, '/');
                if (!slash)
                        return false;
                t->path = slash;
        }
        *pattern = t->pattern;
        *path = ++t->path;
        return true;
}

bool buildspec_matches(const char *pattern, const char *path)
{
        struct retry star = {NULL}, deep = {NULL};
        while (*path) {
                if (pattern[0] == '*' && pattern[1] == '*') {
                        bool folders = pattern[2] == '/';
                        pattern += folders ? 3 : 2;
                        deep = (struct retry){pattern, path, folders};
                        star.pattern = NULL;
                } else if (*pattern == '*') {
                        star = (struct retry){++pattern, path, false};
                } else if (*pattern == *path || (*pattern == '?' && *path != '/')) {
                        pattern++;
                        path++;
                } else if (!(star.pattern && *star.path != '/' && again(&star, &pattern, &path))) {
                        star.pattern = NULL;
                        if (!again(&deep, &pattern, &path))
                                return false;
                }
        }
        while (*pattern == '*')
                pattern++;
        return !*pattern;
}
