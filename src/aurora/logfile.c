#include "aurora/logfile.h"

#include "core/mem.h"

#include <jansson.h>

enum { NAME_BYTES_MAX = 1000 };

enum mysql_log_kind logfile_kind(struct str name)
{
    static const struct {
        const char *part;
        enum mysql_log_kind kind;
    } parts[] = {
        {"slowquery", MYSQL_LOG_SLOW},    {"slow.log", MYSQL_LOG_SLOW},
        {"mysql-error", MYSQL_LOG_ERROR}, {"error/", MYSQL_LOG_ERROR},
        {"general", MYSQL_LOG_GENERAL},   {"audit", MYSQL_LOG_AUDIT},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (str_find(name, str_c(parts[i].part)) != SIZE_MAX)
            return parts[i].kind;
    return MYSQL_LOG_AUTO;
}

struct str logfile_base(struct str name)
{
    size_t at = str_find(name, STR(".log"));
    return at == SIZE_MAX ? name : str_of(name.p, at + 4);
}

bool logfile_is_live(struct str name)
{
    return logfile_base(name).n == name.n;
}

bool logfile_is_passed_over(struct str name)
{
    return str_ends(name, STR("mysql-error.log"));
}

static json_t *text(struct str s)
{
    return json_stringn(s.p, s.n);
}

void logfile_message_write(const struct logfile_message *m, struct buf *out)
{
    json_t *j = json_object();
    json_object_set_new(j, "instance_id", text(m->instance_id));
    json_object_set_new(j, "log_file_name", text(m->log_file_name));
    json_object_set_new(j, "log_type", text(m->log_type));
    json_object_set_new(j, "size", json_integer((json_int_t)m->size));
    json_object_set_new(j, "last_written", json_integer(m->last_written_ms));
    size_t n = json_dumpb(j, NULL, 0, JSON_COMPACT);
    char *p = buf_reserve(out, n);
    if (p)
        out->n += json_dumpb(j, p, n, JSON_COMPACT);
    json_decref(j);
}

static struct str get_text(const json_t *j, const char *name, struct arena *a)
{
    const json_t *v = json_object_get(j, name);
    size_t n = json_string_length(v);
    return n && n <= NAME_BYTES_MAX ? arena_str(a, str_of(json_string_value(v), n)) : STR("");
}

enum err logfile_message_read(struct str json, struct arena *a, struct logfile_message *ret)
{
    json_t *j = json_loadb(json.p ? json.p : "", json.n, 0, NULL);
    struct logfile_message m = {.instance_id = get_text(j, "instance_id", a),
                                .log_file_name = get_text(j, "log_file_name", a),
                                .log_type = get_text(j, "log_type", a)};
    json_int_t size = json_integer_value(json_object_get(j, "size"));
    m.size = size > 0 ? (uint64_t)size : 0;
    m.last_written_ms = json_integer_value(json_object_get(j, "last_written"));
    json_decref(j);
    if (!m.instance_id.n || !m.log_file_name.n)
        return err_set(ERR_INVALID, "a message without instance_id and log_file_name");
    *ret = m;
    return OK;
}
