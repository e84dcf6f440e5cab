/* The values of the settings: each is judged when it is set, by the same rules whatever its source,
 * and kept both as text (to be shown) and as what it means (to be read). */
#include "core/conf.h"

#include "core/log.h"
#include "core/mem.h"

#include <stdio.h>
#include <unistd.h>

struct value {
    char *text;   /* NULL: unset */
    char *source; /* NULL: default */
    int64_t number;
    char **items;
    size_t item_count;
};

struct conf {
    const struct conf_setting *table;
    size_t count;
    struct value values[];
};

/* The index in the table, or SIZE_MAX. */
static size_t find_setting(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->table[i].name, name) == 0)
            return i;
    }
    return SIZE_MAX;
}

static const struct value *get(const struct conf *c, const char *name, enum conf_type type)
{
    size_t i = find_setting(c, name);
    if (i == SIZE_MAX || c->table[i].type != type)
        BUG("setting %s is not in the table, or of another type", name);
    return &c->values[i];
}

static void value_release(struct value *v)
{
    for (size_t i = 0; i < v->item_count; i++)
        mem_free(v->items[i]);
    mem_free(v->items);
    mem_free(v->text);
    mem_free(v->source);
}

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* The setting within three slips, else the only one with the same last part ("retention"), else
 * NULL. */
static const char *suggestion(const struct conf *c, const char *name)
{
    const char *best = NULL, *same_part = NULL;
    unsigned best_distance = 4, same_parts = 0;
    for (size_t i = 0; i < c->count; i++) {
        const char *candidate = c->table[i].name;
        unsigned d = str_distance(str_c(name), str_c(candidate), 3);
        if (d < best_distance) {
            best = candidate;
            best_distance = d;
        }
        if (strcmp(last_part(name), last_part(candidate)) == 0) {
            same_part = candidate;
            same_parts++;
        }
    }
    return best ? best : same_parts == 1 ? same_part : NULL;
}

static enum err unknown(const struct conf *c, const char *name, const char *source)
{
    const char *better = suggestion(c, name);
    if (better)
        return err_set(ERR_INVALID, "%s: unknown setting \"%s\"; did you mean \"%s\"?", source,
                       name, better);
    return err_set(ERR_INVALID, "%s: unknown setting \"%s\"", source, name);
}

static bool parse_bool(struct str s, int64_t *ret)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (int i = 0; i < 8; i++) {
        if (str_ieq(s, str_c(words[i]))) {
            *ret = i & 1;
            return true;
        }
    }
    return false;
}

static bool parse_number(enum conf_type type, struct str s, int64_t *ret)
{
    uint64_t bytes;
    switch (type) {
    case CONF_INT:
        return str_to_i64(s, ret);
    case CONF_BOOL:
        return parse_bool(s, ret);
    case CONF_DURATION:
        return str_to_duration_ns(s, ret);
    default:
        if (!str_to_bytes(s, &bytes) || bytes > INT64_MAX)
            return false;
        *ret = (int64_t)bytes;
        return true;
    }
}

/* A bound in the unit of its type. */
static const char *show_bound(enum conf_type type, int64_t v, char out[32])
{
    static const struct {
        int64_t size;
        const char *name;
    } bytes[] = {{1LL << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, ""}},
      times[] = {{86400000000000, "d"}, {3600000000000, "h"}, {60000000000, "m"},
                 {1000000000, "s"},     {1000000, "ms"},      {1, "ns"}};
    int i = 0;
    if (type == CONF_BYTES) {
        while (v % bytes[i].size)
            i++;
        snprintf(out, 32, "%lld%s", (long long)(v / bytes[i].size), v ? bytes[i].name : "");
    } else if (type == CONF_DURATION) {
        while (v % times[i].size)
            i++;
        snprintf(out, 32, "%lld%s", (long long)(v / times[i].size), v ? times[i].name : "");
    } else {
        snprintf(out, 32, "%lld", (long long)v);
    }
    return out;
}

static enum err set_number(const struct conf_setting *s, struct str text, const char *source,
                           int64_t *ret)
{
    static const char *const kinds[] = {
        [CONF_INT] = "a whole number",
        [CONF_BOOL] = "true or false",
        [CONF_BYTES] = "a size (such as 512KiB, 64MiB, 1.5GiB)",
        [CONF_DURATION] = "a duration (such as 250ms, 90s, 15m, 24h, 7d)",
    };
    char bound[32];
    int64_t v, max = s->min || s->max ? s->max : INT64_MAX;
    if (!parse_number(s->type, text, &v))
        return err_set(ERR_INVALID, "%s: %s: \"%.*s\" is not %s", source, s->name, STR_ARG(text),
                       kinds[s->type]);
    if (v < s->min && s->type != CONF_BOOL)
        return err_set(ERR_INVALID, "%s: %s: %.*s is less than the least, %s", source, s->name,
                       STR_ARG(text), show_bound(s->type, s->min, bound));
    if (v > max)
        return err_set(ERR_INVALID, "%s: %s: %.*s is more than the most, %s", source, s->name,
                       STR_ARG(text), show_bound(s->type, max, bound));
    *ret = v;
    return OK;
}

static enum err check_choice(const struct conf_setting *s, struct str text, const char *source)
{
    struct str rest = str_c(s->choices), choice;
    while (str_split(&rest, '|', &choice)) {
        if (str_eq(choice, text))
            return OK;
    }
    return err_set(ERR_INVALID, "%s: %s: \"%.*s\" is none of %s", source, s->name, STR_ARG(text),
                   s->choices);
}

static enum err set_text(const struct conf_setting *s, struct value *v, struct str text,
                         const char *source)
{
    if (text.n && memchr(text.p, 0, text.n))
        return err_set(ERR_INVALID, "%s: %s: a NUL byte in the value", source, s->name);
    if (s->type == CONF_STRING) {
        if (s->choices)
            TRY(check_choice(s, text, source));
    } else {
        text = str_trim(text);
        TRY(set_number(s, text, source, &v->number));
    }
    char *copy = mem_strdup(text);
    mem_free(v->text);
    v->text = copy;
    return OK;
}

static void set_items(struct value *v, const struct str *items, size_t count)
{
    for (size_t i = 0; i < v->item_count; i++)
        mem_free(v->items[i]);
    mem_free(v->items);
    v->items = NEW_ARRAY(char *, count);
    v->item_count = count;
    for (size_t i = 0; i < count; i++)
        v->items[i] = mem_strdup(items[i]);
}

static void set_source(struct value *v, const char *source)
{
    char *copy = mem_strdup(str_c(source));
    mem_free(v->source);
    v->source = copy;
}

enum err conf_set_list(struct conf *c, const char *name, const struct str *items, size_t count,
                       const char *source)
{
    size_t i = find_setting(c, name);
    if (i == SIZE_MAX)
        return unknown(c, name, source);
    if (c->table[i].type != CONF_LIST)
        return err_set(ERR_INVALID, "%s: %s takes one value, not a list", source, name);
    set_items(&c->values[i], items, count);
    set_source(&c->values[i], source);
    return OK;
}

/* "a, b" -> items; "" has none. */
static void set_split(struct value *v, struct str text)
{
    struct str part, *items = NULL;
    size_t count = 0, cap = 0;
    text = str_trim(text);
    while (text.n && str_split(&text, ',', &part)) {
        ARRAY_GROW(items, cap, count + 1);
        items[count++] = str_trim(part);
    }
    set_items(v, items, count);
    mem_free(items);
}

enum err conf_set(struct conf *c, const char *name, struct str value, const char *source)
{
    size_t i = find_setting(c, name);
    if (i == SIZE_MAX)
        return unknown(c, name, source);
    if (c->table[i].type == CONF_TREE)
        return err_set(ERR_INVALID, "%s: %s can be set in a file only", source, name);
    if (c->table[i].type == CONF_LIST)
        set_split(&c->values[i], value);
    else
        TRY(set_text(&c->table[i], &c->values[i], value, source));
    set_source(&c->values[i], source);
    return OK;
}

struct conf *conf_new_of(const struct conf_setting *table)
{
    size_t n = 0;
    while (table[n].name)
        n++;
    struct conf *c = mem_zalloc(sizeof(*c) + n * sizeof(struct value));
    c->table = table;
    c->count = n;
    for (size_t i = 0; i < n; i++) {
        const struct conf_setting *s = &c->table[i];
        if (!s->value)
            continue;
        if (conf_set(c, s->name, str_c(s->value), "default") != OK)
            BUG("%s", err_text());
        mem_free(c->values[i].source);
        c->values[i].source = NULL;
    }
    return c;
}

struct conf *conf_new(void)
{
    return conf_new_of(conf_table);
}

const struct conf_setting *conf_settings(const struct conf *c)
{
    return c->table;
}

void conf_free(struct conf *c)
{
    for (size_t i = 0; c && i < c->count; i++)
        value_release(&c->values[i]);
    mem_free(c);
}

/* store.retention -> WEIR_STORE_RETENTION */
static void env_name(const char *setting, char *out, size_t size)
{
    snprintf(out, size, "WEIR_%s", setting);
    for (char *p = out + 5; *p; p++) {
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - 32);
        else if (*p == '.')
            *p = '_';
    }
}

/* The setting that a variable names, or NULL; the nearest one within two slips to *ret_near. */
static const char *env_setting(const struct conf *c, struct str variable, const char **ret_near)
{
    if (str_eq(variable, STR("WEIR_ROOT_USER")))
        variable = STR("WEIR_AUTH_ROOT_USER");
    else if (str_eq(variable, STR("WEIR_ROOT_PASSWORD")))
        variable = STR("WEIR_AUTH_ROOT_PASSWORD");
    for (size_t i = 0; i < c->count; i++) {
        char name[128];
        env_name(c->table[i].name, name, sizeof(name));
        if (str_eq_c(variable, name))
            return c->table[i].name;
        if (str_distance(variable, str_c(name), 2) <= 2)
            *ret_near = c->table[i].name;
    }
    return NULL;
}

static enum err load_variable(struct conf *c, struct str name, struct str value)
{
    const char *near = NULL;
    const char *setting = env_setting(c, name, &near);
    char source[160], wanted[128];
    if (setting) {
        snprintf(source, sizeof(source), "%.*s", STR_ARG(name));
        return conf_set(c, setting, value, source);
    }
    if (near) {
        env_name(near, wanted, sizeof(wanted));
        log_warn("unknown environment variable", "name=%.*s did_you_mean=%s", STR_ARG(name),
                 wanted);
    }
    return OK;
}

enum err conf_load_env(struct conf *c)
{
    for (char **e = environ; e && *e; e++) {
        struct str value = str_c(*e), name = {0};
        if (!str_starts(value, STR("WEIR_")))
            continue;
        str_split(&value, '=', &name);
        if (value.n)
            TRY(load_variable(c, name, value));
    }
    return OK;
}

const char *conf_source(const struct conf *c, const char *name)
{
    size_t i = find_setting(c, name);
    CHECK(i != SIZE_MAX);
    return c->values[i].source ? c->values[i].source : "default";
}

const char *conf_text(const struct conf *c, const char *name)
{
    size_t i = find_setting(c, name);
    CHECK(i != SIZE_MAX);
    return c->values[i].text;
}

const char *conf_string(const struct conf *c, const char *name)
{
    return get(c, name, CONF_STRING)->text;
}

int64_t conf_int(const struct conf *c, const char *name)
{
    return get(c, name, CONF_INT)->number;
}

bool conf_bool(const struct conf *c, const char *name)
{
    return get(c, name, CONF_BOOL)->number;
}

uint64_t conf_bytes(const struct conf *c, const char *name)
{
    return (uint64_t)get(c, name, CONF_BYTES)->number;
}

int64_t conf_duration_ns(const struct conf *c, const char *name)
{
    return get(c, name, CONF_DURATION)->number;
}

const char *conf_list_item(const struct conf *c, const char *name, size_t i)
{
    const struct value *v = get(c, name, CONF_LIST);
    return i < v->item_count ? v->items[i] : NULL;
}
