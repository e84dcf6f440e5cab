/* docs/openapi.yaml as the server answers it: it is JSON, every route of the table is in it, and
 * nothing else. */
#include "api/api.h"
#include "api/openapi.h"
#include "test.h"

#include <ctype.h>
#include <jansson.h>

static json_t *load(void)
{
    struct buf out;
    json_error_t error;
    buf_init(&out, 4 << 20);
    assert_int_equal(openapi_json(&out), OK);
    json_t *doc = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, &error);
    if (!doc)
        fail_msg("not JSON at %d: %s", error.position, error.text);
    buf_release(&out);
    return doc;
}

/* Whether a path of the document, /{index}/_doc, is a route's: a parameter is one segment there. */
static bool is_same_path(const char *route, const char *path)
{
    for (; *route && *path; route++, path++) {
        if (*path == '{') {
            while (*path != '}')
                path++;
            while (*route && *route != '/' && route[1] && route[1] != '/')
                route++;
        } else if (*route != *path) {
            return false;
        }
    }
    return *route == *path;
}

static bool is_documented(json_t *paths, const struct http_route *route)
{
    const char *path;
    json_t *item;
    char method[16] = "";
    for (size_t i = 0; route->method[i]; i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    json_object_foreach(paths, path, item)
    {
        if (is_same_path(route->path, path) && json_object_get(item, method))
            return true;
    }
    return false;
}

static bool is_served(const struct http_route *route, const char *path, const char *method)
{
    for (; route->method; route++)
        if (is_same_path(route->path, path) && strcasecmp(route->method, method) == 0)
            return true;
    return false;
}

static void test_every_route_is_documented(void **state)
{
    struct api api = {0};
    json_t *doc = load(), *paths = json_object_get(doc, "paths");
    size_t n = 0;
    for (const struct http_route *r = api_routes(&api); r->method; r++, n++)
        if (!is_documented(paths, r))
            fail_msg("docs/openapi.yaml lacks %s %s", r->method, r->path);
    assert_true(n > 10);
    json_decref(doc);
}

static void test_every_documented_path_is_served(void **state)
{
    struct api api = {0};
    json_t *doc = load(), *item, *operation;
    const char *path, *method;
    json_object_foreach(json_object_get(doc, "paths"), path, item)
    {
        json_object_foreach(item, method, operation)
        {
            if (!is_served(api_routes(&api), path, method))
                fail_msg("docs/openapi.yaml names %s %s, which is no route", method, path);
            if (!json_object_get(json_object_get(operation, "responses"), "200") &&
                !json_object_get(json_object_get(operation, "responses"), "202") &&
                !json_object_get(json_object_get(operation, "responses"), "204") &&
                !json_object_get(json_object_get(operation, "responses"), "201"))
                fail_msg("docs/openapi.yaml: %s %s never succeeds", method, path);
        }
    }
    json_decref(doc);
}

/* Scalars are read as YAML's JSON schema reads them, and an alias is written out. */
static void test_scalars(void **state)
{
    json_t *doc = load();
    json_t *parameters = json_object_get(
        json_object_get(json_object_get(json_object_get(doc, "paths"), "/api/v1/logs/histogram"),
                        "post"),
        "parameters");
    size_t i;
    json_t *p, *buckets = NULL;
    json_array_foreach(parameters, i, p)
    {
        const char *name = json_string_value(json_object_get(p, "name"));
        if (name && strcmp(name, "buckets") == 0)
            buckets = json_object_get(p, "schema");
    }
    assert_int_equal(json_integer_value(json_object_get(buckets, "maximum")), 2000);
    assert_string_equal(json_string_value(json_object_get(doc, "openapi")), "3.0.3");
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_documented),
        cmocka_unit_test(test_every_documented_path_is_served),
        cmocka_unit_test(test_scalars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
