#include "cmd/aurora_table.h"

#include "core/clock.h"
#include "record/timestamp.h"

#include <stdio.h>

enum { COLUMNS_MAX = 12, CELL_MAX = 120 };

static const char *cell(const json_t *row, const char *name, char text[CELL_MAX])
{
    const json_t *v = json_object_get(row, name);
    if (json_is_string(v))
        snprintf(text, CELL_MAX, "%s", json_string_value(v));
    else if (json_is_integer(v))
        snprintf(text, CELL_MAX, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(text, CELL_MAX, "%.2f", json_real_value(v));
    else if (json_is_boolean(v))
        snprintf(text, CELL_MAX, "%s", json_is_true(v) ? "yes" : "no");
    else
        text[0] = '\0';
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' ';
    return text;
}

static void print_json(const json_t *j)
{
    json_dumpf(j, stdout, JSON_COMPACT);
    putchar('\n');
}

void aurora_print_rows(const struct options *o, json_t *list, const char *const *columns)
{
    int width[COLUMNS_MAX] = {0};
    char text[CELL_MAX];
    size_t i;
    json_t *row;
    unsigned n = 0;
    if (options_has(o, "json")) {
        print_json(list);
        json_decref(list);
        return;
    }
    for (; columns[n]; n++)
        width[n] = (int)strlen(columns[n]);
    json_array_foreach(list, i, row) for (unsigned c = 0; c < n; c++)
    {
        int len = (int)strlen(cell(row, columns[c], text));
        if (len > width[c])
            width[c] = len;
    }
    for (unsigned c = 0; c < n; c++)
        printf("%-*s%s", c + 1 < n ? width[c] : 0, columns[c], c + 1 < n ? "  " : "\n");
    json_array_foreach(list, i, row) for (unsigned c = 0; c < n; c++) printf(
        "%-*s%s", c + 1 < n ? width[c] : 0, cell(row, columns[c], text), c + 1 < n ? "  " : "\n");
    json_decref(list);
}

void aurora_print_object(const struct options *o, json_t *object)
{
    char text[CELL_MAX];
    const char *name;
    json_t *value;
    if (options_has(o, "json")) {
        print_json(object);
    } else {
        json_object_foreach(object, name, value)
        {
            if (json_is_string(value) && json_string_length(value) >= CELL_MAX)
                printf("%s:\n%s\n", name, json_string_value(value));
            else if (!json_is_array(value) && !json_is_object(value))
                printf("%-22s %s\n", name, cell(object, name, text));
        }
    }
    json_decref(object);
}

json_t *aurora_time_json(int64_t seconds)
{
    char text[TIME_TEXT_MAX];
    size_t n = seconds > 0 ? time_rfc3339(seconds * NS_PER_S, text) : 0;
    return json_stringn(text, n);
}

bool aurora_age_option(const struct options *o, const char *name, int64_t def, int64_t *ret)
{
    const char *text = options_value(o, name);
    int64_t ns;
    *ret = def;
    if (!text)
        return true;
    if (!str_to_duration_ns(str_c(text), &ns)) {
        options_fail(o->command, "--%s %s: a time such as 1h or 7d is wanted", name, text);
        return false;
    }
    *ret = ns / NS_PER_S;
    return true;
}
