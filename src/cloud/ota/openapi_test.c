/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* The interface's description: complete, without two things of one name, and made of types that
 * exist. */
#include "base/clean.h"
#include "cloud/ota/openapi.h"
#include "cloud/ota/openapi_tables.h"

#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

static void every_route_is_described(void **state)
{
        const struct route *tables[] = {mgmt_routes, ddi_routes};
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(tables); i++) {
                for (const struct route *r = tables[i]; r->method; r++) {
                        if (!route_doc_find(r))
                                fail_msg(
                                        "%s %s has no row in openapi_routes.c", r->method, r->path);
                }
        }
}

static void every_description_is_of_a_route(void **state)
{
        (void)state;
        for (const struct route_doc *d = route_docs; d->method; d++) {
                bool is_there = false;
                for (const struct route *r = mgmt_routes; r->method; r++)
                        is_there |= route_doc_find(r) == d;
                for (const struct route *r = ddi_routes; r->method; r++)
                        is_there |= route_doc_find(r) == d;
                if (!is_there)
                        fail_msg("%s %s is no route", d->method, d->path);
        }
}

static void names_are_unique(void **state)
{
        (void)state;
        for (const struct route_doc *a = route_docs; a->method; a++) {
                for (const struct route_doc *b = a + 1; b->method; b++)
                        assert_string_not_equal(a->name, b->name);
        }
}

static bool is_document(const char *name, size_t len)
{
        for (const struct document *d = documents; d->name; d++) {
                if (strlen(d->name) == len && memcmp(d->name, name, len) == 0)
                        return true;
        }
        return false;
}

/* A type that begins with a capital is a document, or the one word THRESHOLD. */
static void check_type(const char *type)
{
        type += strspn(type, "[{");
        size_t len = strcspn(type, "]}!?|");
        if (isupper((unsigned char)*type) && strncmp(type, "THRESHOLD", len) != 0 &&
                !is_document(type, len))
                fail_msg("'%s' is no document", type);
}

static void types_exist(void **state)
{
        (void)state;
        for (const struct document *d = documents; d->name; d++) {
                for (const struct document_member *m = d->members; m->name; m++)
                        check_type(m->type);
        }
        for (const struct route_doc *d = route_docs; d->method; d++) {
                const char *type = strchr(d->answer, ' ');
                if (type)
                        check_type(strncmp(type + 1, "Page ", 5) == 0 ? type + 6 : type + 1);
        }
}

static void path_parameters_have_names(void **state)
{
        (void)state;
        assert_string_equal(route_path_parameter("targets/{s}/actions/{n}", 0), "controllerId");
        assert_string_equal(route_path_parameter("targets/{s}/actions/{n}", 1), "actionId");
        assert_string_equal(
                route_path_parameter("softwaremodules/{n}/artifacts/{s}", 1), "fileName");
        for (const struct route_doc *d = route_docs; d->method; d++) {
                int n = 0;
                for (const char *p = strchr(d->path, '{'); p; p = strchr(p + 1, '{'), n++)
                        assert_string_not_equal(route_path_parameter(d->path, n), "id");
        }
}

static void the_document_has_both_interfaces(void **state)
{
        (void)state;
        CLEAN_JSON json_t *all = openapi_document(true, true);
        assert_non_null(all);
        const json_t *paths = json_object_get(all, "paths");
        assert_non_null(json_object_get(paths, "/rest/v1/targets/{controllerId}"));
        assert_non_null(json_object_get(paths, "/{tenant}/controller/v1/{controllerId}"));
        const json_t *proof = json_object_get(
                json_object_get(paths, "/rest/v1/actions/{actionId}/proof"), "post");
        assert_true(json_is_true(json_object_get(proof, "x-driveline-extension")));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_route_is_described),
                cmocka_unit_test(every_description_is_of_a_route),
                cmocka_unit_test(names_are_unique),
                cmocka_unit_test(types_exist),
                cmocka_unit_test(path_parameters_have_names),
                cmocka_unit_test(the_document_has_both_interfaces),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
