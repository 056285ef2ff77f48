/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "wire/manifest.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <expat.h>
#include <string.h>

static const struct {
        const char *name;
        size_t offset;
        bool required;
} fields[] = {
        {"name", offsetof(struct manifest, name), true},
        {"language", offsetof(struct manifest, language), false},
        {"compiler", offsetof(struct manifest, compiler), false},
        {"build_command", offsetof(struct manifest, build_command), false},
        {"run_command", offsetof(struct manifest, run_command), true},
        {"version", offsetof(struct manifest, version), false},
};

static char **field_of(struct manifest *m, size_t i)
{
        return (char **)((char *)m + fields[i].offset);
}

struct parse {
        XML_Parser xml;
        struct manifest manifest;
        struct buf text; /* of the field that is open */
        int depth;
        int field; /* index of the open field, -1: none */
        int code;  /* 0, or why the document is refused */
        struct err *err;
};

static void refuse(struct parse *p, const char *what, const char *name)
{
        if (p->code)
                return;
        p->code = err_set(p->err, -EINVAL, "manifest line %lu: %s%s%s%s",
                (unsigned long)XML_GetCurrentLineNumber(p->xml), what, name ? " '" : "",
                name ? name : "", name ? "'" : "");
        XML_StopParser(p->xml, XML_FALSE);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
        struct parse *p = arg;
        p->depth++;
        if (p->depth > LIMIT_XML_DEPTH)
                return refuse(p, "elements nest too deep", NULL);
        if (p->depth == 1 && strcmp(name, "project"))
                return refuse(p, "the root is not 'project' but", name);
        if (p->field >= 0)
                return refuse(p, "text expected, not the element", name);
        if (p->depth != 2)
                return;
        for (size_t i = 0; i < N_ELEMENTS(fields); i++) {
                if (strcmp(name, fields[i].name))
                        continue;
                if (*field_of(&p->manifest, i))
                        return refuse(p, "a second element", name);
                p->field = (int)i;
                buf_clear(&p->text);
        }
}

static char *trimmed(const struct buf *b)
{
        const char *s = buf_text(b);
        size_t len = b->len;
        while (len && strchr(" \t\r\n", s[0])) {
                s++;
                len--;
        }
        while (len && strchr(" \t\r\n", s[len - 1]))
                len--;
        return strndup(s, len);
}

static void on_end(void *arg, const XML_Char *name)
{
        struct parse *p = arg;
        p->depth--;
        if (p->field < 0)
                return;
        if (p->text.error)
                return refuse(p, "text too long in", name);
        char *text = trimmed(&p->text);
        if (!text)
                return refuse(p, "out of memory", NULL);
        *field_of(&p->manifest, (size_t)p->field) = text;
        p->field = -1;
}

static void on_text(void *arg, const XML_Char *text, int len)
{
        struct parse *p = arg;
        if (p->field >= 0)
                buf_add(&p->text, text, (size_t)len);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
        const XML_Char *public_id, int has_subset)
{
        /* No document type, no entities: nothing can expand and nothing can be fetched. */
        refuse(arg, "a document type is not allowed", NULL);
}

static int check_fields(struct parse *p)
{
        for (size_t i = 0; i < N_ELEMENTS(fields); i++) {
                char **field = field_of(&p->manifest, i);
                if (fields[i].required && (!*field || !**field))
                        return err_set(p->err, -EINVAL, "manifest: no '%s'", fields[i].name);
                if (!*field && !(*field = strdup("")))
                        return err_set(p->err, -ENOMEM, "out of memory");
        }
        return 0;
}

static int parse_document(struct parse *p, const char *text, size_t len)
{
        XML_SetUserData(p->xml, p);
        XML_SetElementHandler(p->xml, on_start, on_end);
        XML_SetCharacterDataHandler(p->xml, on_text);
        XML_SetStartDoctypeDeclHandler(p->xml, on_doctype);
        if (XML_Parse(p->xml, text, (int)len, XML_TRUE) == XML_STATUS_OK)
                return check_fields(p);
        if (!p->code)
                refuse(p, XML_ErrorString(XML_GetErrorCode(p->xml)), NULL);
        return p->code;
}

int manifest_parse(const char *text, size_t len, struct manifest *ret, struct err *err)
{
        if (len > LIMIT_DOCUMENT_BYTES)
                return err_set(
                        err, -E2BIG, "manifest is larger than %zu bytes", LIMIT_DOCUMENT_BYTES);
        struct parse p = {.field = -1, .err = err, .text = BUF_INIT(LIMIT_MANIFEST_FIELD_BYTES)};
        p.xml = XML_ParserCreate(NULL);
        if (!p.xml)
                return err_set(err, -ENOMEM, "out of memory");
        int r = parse_document(&p, text, len);
        XML_ParserFree(p.xml);
        buf_fini(&p.text);
        if (r) {
                manifest_fini(&p.manifest);
                return r;
        }
        *ret = p.manifest;
        return 0;
}

int manifest_read(const char *dir, struct manifest *ret, struct err *err)
{
        CLEAN_MEM char *path = fs_join(dir, "manifest.xml");
        if (!path)
                return err_set(err, -ENOMEM, "out of memory");
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_DOCUMENT_BYTES);
        int r = fs_read(path, &text, err);
        if (r)
                return r;
        return manifest_parse(buf_text(&text), text.len, ret, err);
}

void manifest_fini(struct manifest *m)
{
        for (size_t i = 0; i < N_ELEMENTS(fields); i++)
                free(*field_of(m, i));
        *m = (struct manifest){0};
}

/* ── commands ── */

struct split {
        const char *at;
        struct buf word;
        bool has_word; /* '' is a word too */
        struct command command;
        struct err *err;
};

static int end_word(struct split *s)
{
        if (!s->has_word)
                return 0;
        if (s->command.argc >= LIMIT_COMMAND_WORDS)
                return err_set(
                        s->err, -E2BIG, "command has more than %d words", LIMIT_COMMAND_WORDS);
        if (s->word.error)
                return err_set(s->err, s->word.error, "command has a word that is too long");
        char **argv = realloc(s->command.argv, (s->command.argc + 2) * sizeof(*argv));
        if (!argv)
                return err_set(s->err, -ENOMEM, "out of memory");
        s->command.argv = argv;
        char *word = strdup(buf_text(&s->word));
        if (!word)
                return err_set(s->err, -ENOMEM, "out of memory");
        argv[s->command.argc++] = word;
        argv[s->command.argc] = NULL;
        buf_clear(&s->word);
        s->has_word = false;
        return 0;
}

/* Takes one quoted run; s->at is behind its opening quote. */
static int take_quoted(struct split *s, char quote)
{
        s->has_word = true;
        for (; *s->at && *s->at != quote; s->at++) {
                if (quote == '"' && *s->at == '\\' && s->at[1] && strchr("\"\\", s->at[1]))
                        s->at++;
                else if (quote == '"' && strchr("$`", *s->at))
                        return err_set(s->err, -EINVAL, "command needs a shell for '%c'", *s->at);
                buf_addc(&s->word, *s->at);
        }
        if (!*s->at)
                return err_set(s->err, -EINVAL, "command has an open quote (%c)", quote);
        s->at++;
        return 0;
}

static int take_one(struct split *s)
{
        char c = *s->at++;
        if (strchr(" \t\r\n", c))
                return end_word(s);
        if (c == '\'' || c == '"')
                return take_quoted(s, c);
        if (c == '\\') {
                if (!*s->at)
                        return err_set(s->err, -EINVAL, "command ends in a backslash");
                c = *s->at++;
        } else if (strchr("|&;<>$`(){}*?[]#!", c)) {
                return err_set(s->err, -EINVAL,
                        "command needs a shell for '%c'; quote it if it is meant as it is", c);
        }
        s->has_word = true;
        buf_addc(&s->word, c);
        return 0;
}

int command_parse(const char *text, struct command *ret, struct err *err)
{
        struct split s = {.at = text, .word = BUF_INIT(LIMIT_MANIFEST_FIELD_BYTES), .err = err};
        int r = 0;
        while (!r && *s.at)
                r = take_one(&s);
        if (!r)
                r = end_word(&s);
        if (!r && (!s.command.argc || !s.command.argv[0][0]))
                r = err_set(err, -EINVAL, "command is empty");
        buf_fini(&s.word);
        if (r) {
                command_fini(&s.command);
                return r;
        }
        *ret = s.command;
        return 0;
}

void command_fini(struct command *c)
{
        for (size_t i = 0; i < c->argc; i++)
                free(c->argv[i]);
        free(c->argv);
        *c = (struct command){0};
}
