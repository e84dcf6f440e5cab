/* Loki's push requests (grafana.com/docs/loki/latest/reference/loki-http-api, "Ingest logs").
 *
 * protobuf (proto/loki.proto), whose content coding is snappy's block format; and JSON:
 *
 *     {"streams": [{"stream": {"label": "value"},
 *                   "values": [["<nanoseconds>", "<line>", {metadata}], ...]}]}
 *     {"streams": [{"labels": "{label=\"value\"}", "entries": [{"ts": "<RFC 3339>", "line": ""}]}]}
 *
 * A record has its stream's labels, `message` (the line), and its structured metadata; its time is
 * the entry's. Labels are written {name="value", ...}, the values as Go or between backquotes. */
#include "core/clock.h"
#include "record/json_walk.h"
#include "record/timestamp.h"
#include "wire/decode_impl.h"
#include "wire/proto.h"
#include "wire/proto/loki.pb-c.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

struct label {
    struct str name, value;
};
struct labels {
    struct label *item;
    uint32_t n;
};

/* ---- labels ---- */

static void skip_space(struct str *s)
{
    while (s->n && strchr(" \t\r\n", s->p[0]) && s->p[0])
        *s = str_from(*s, 1);
}

static bool take_byte(struct str *s, char c)
{
    skip_space(s);
    if (!s->n || s->p[0] != c)
        return false;
    *s = str_from(*s, 1);
    return true;
}

/* \UNNNNNNNN as JSON's \uNNNN, one or a pair; 0 bytes where it is none. */
static size_t put_long_escape(struct str at, char *to)
{
    char digits[9] = "", *end;
    if (at.n < 10 || !isxdigit((unsigned char)at.p[2]))
        return 0;
    memcpy(digits, at.p + 2, 8);
    unsigned long c = strtoul(digits, &end, 16);
    if (end != digits + 8 || c > 0x10ffff)
        return 0;
    if (c < 0x10000)
        return (size_t)snprintf(to, 7, "\\u%04lx", c);
    c -= 0x10000;
    return (size_t)snprintf(to, 13, "\\u%04lx\\u%04lx", 0xd800 | c >> 10, 0xdc00 | (c & 0x3ff));
}

/* The escapes of Go as those of JSON: \xNN, \a and \v become \u00NN, and see above. */
static size_t escapes_of_json(struct str inside, char *json)
{
    size_t n = 0, i = 0, written;
    while (i < inside.n) {
        char next = inside.p[i] == '\\' && i + 1 < inside.n ? inside.p[i + 1] : 0;
        if (next == 'x' || next == 'a' || next == 'v') {
            const char *as = next == 'x' ? "\\u00" : next == 'a' ? "\\u0007" : "\\u000b";
            memcpy(json + n, as, strlen(as));
            n += strlen(as);
            i += 2;
        } else if (next == 'U' && (written = put_long_escape(str_from(inside, i), json + n))) {
            n += written;
            i += 10;
        } else {
            json[n++] = inside.p[i++];
            if (next)
                json[n++] = inside.p[i++];
        }
    }
    return n;
}

/* A value in quotes, as Go writes it. */
static bool take_quoted(struct str *s, struct arena *a, struct str *ret)
{
    skip_space(s);
    if (!s->n || (s->p[0] != '"' && s->p[0] != '`'))
        return false;
    char quote = s->p[0];
    size_t end = 1;
    while (end < s->n && s->p[end] != quote)
        end += quote == '"' && s->p[end] == '\\' ? 2 : 1;
    if (end >= s->n)
        return false;
    struct str inside = str_of(s->p + 1, end - 1);
    *s = str_from(*s, end + 1);
    *ret = inside;
    if (quote == '`' || !json_walk_escaped(inside))
        return true;
    char *json = arena_alloc(a, 3 * inside.n + 1), *to = arena_alloc(a, 3 * inside.n + 1);
    size_t n = escapes_of_json(inside, json), bad;
    if (!json_unescape(str_of(json, n), to, &ret->n, &bad))
        return false;
    ret->p = to;
    return true;
}

static bool take_name(struct str *s, struct arena *a, struct str *ret)
{
    skip_space(s);
    if (s->n && s->p[0] == '"')
        return take_quoted(s, a, ret);
    size_t n = 0;
    while (n < s->n && !strchr(" \t=,}", s->p[n]))
        n++;
    *ret = str_of(s->p, n);
    *s = str_from(*s, n);
    return n > 0;
}

static enum err parse_labels(struct str text, struct arena *a, struct labels *ret)
{
    struct str rest = text;
    size_t cap = 1;
    for (size_t i = 0; i < text.n; i++)
        cap += text.p[i] == '=';
    struct labels l = {.item = ARENA_TRY_ARRAY(a, struct label, cap)};
    if (!l.item)
        return err_set(ERR_NOMEM, "no memory to read labels");
    bool good = take_byte(&rest, '{');
    while (good && !take_byte(&rest, '}')) {
        struct label *next = &l.item[l.n];
        good = l.n < cap && take_name(&rest, a, &next->name) && take_byte(&rest, '=') &&
               take_quoted(&rest, a, &next->value);
        l.n++;
        take_byte(&rest, ',');
    }
    skip_space(&rest);
    if (!good || rest.n)
        return err_set(ERR_INVALID,
                       "the stream's labels are not {name=\"value\", ...}, at byte %zu",
                       text.n - rest.n);
    *ret = l;
    return OK;
}

/* ---- entries ---- */

struct entry {
    const struct labels *labels;
    struct str stream_json; /* the labels as a JSON object instead */
    struct str line;
    const Loki__Entry *proto; /* its metadata, or */
    struct str metadata_json;
};

static enum err put_entry(void *ctx, struct put *p)
{
    const struct entry *e = ctx;
    for (uint32_t i = 0; e->labels && i < e->labels->n; i++)
        put_text(p, e->labels->item[i].name, e->labels->item[i].value);
    if (e->stream_json.n)
        TRY(put_json_members(p, e->stream_json));
    put_text(p, STR("message"), e->line);
    for (size_t i = 0; e->proto && i < e->proto->n_structured_metadata; i++) {
        const Loki__LabelPair *pair = e->proto->structured_metadata[i];
        put_text(p, proto_str(pair->name), proto_str(pair->value));
    }
    return e->metadata_json.n ? put_json_members(p, e->metadata_json) : OK;
}

/* Refuses a stream or entry that cannot be read, and goes on; other errors end the body. */
static enum err refuse(struct wire_decoder *d, enum err err, struct str raw)
{
    if (err == ERR_INVALID || err == ERR_LIMIT) {
        wire_refuse(d, raw);
        return OK;
    }
    return err;
}

static enum err add_entry(struct wire_decoder *d, struct proto_level *level,
                          const struct labels *labels, struct str raw)
{
    Loki__Entry *entry;
    enum err err = proto_unpack(level, &loki__entry__descriptor, raw, "an entry", &entry);
    if (err != OK)
        return refuse(d, err, raw);
    struct entry e = {.labels = labels, .line = proto_str(entry->line), .proto = entry};
    struct wire_record r = {.put = put_entry, .ctx = &e, .raw = raw};
    const Loki__Timestamp *t = entry->timestamp;
    r.cost = raw.n * 2;
    for (uint32_t i = 0; i < labels->n; i++)
        r.cost += labels->item[i].value.n + 8;
    if (t && t->seconds < INT64_MAX / NS_PER_S - 1 && t->seconds > INT64_MIN / NS_PER_S + 1) {
        r.has_time = true;
        r.time_ns = t->seconds * NS_PER_S + t->nanos;
    }
    return wire_add(d, &r);
}

static enum err add_stream(struct wire_decoder *d, struct proto_level level[2], struct str raw)
{
    Loki__Stream *stream;
    struct labels labels;
    enum err err = proto_unpack(&level[0], &loki__stream__descriptor, raw, "a stream", &stream);
    if (err == OK)
        err = parse_labels(proto_str(stream->labels), &level[0].arena, &labels);
    if (err != OK)
        return refuse(d, err, raw);
    for (size_t i = 0; i < stream->n_entries; i++)
        TRY(add_entry(d, &level[1], &labels, proto_str(stream->entries[i])));
    return OK;
}

enum err wire_decode_loki(struct wire_decoder *d, struct str body)
{
    struct proto_level level[3];
    Loki__PushRequest *request;
    for (int i = 0; i < 3; i++)
        proto_init(&level[i], &d->inflated_reserved);
    enum err err =
        proto_unpack(&level[0], &loki__push_request__descriptor, body, "a push request", &request);
    for (size_t i = 0; err == OK && i < request->n_streams; i++)
        err = add_stream(d, &level[1], proto_str(request->streams[i]));
    for (int i = 0; i < 3; i++)
        proto_release(&level[i]);
    return err;
}

/* ---- JSON ---- */

/* The time of an entry: nanoseconds in a string or as a number, or RFC 3339. */
static bool json_time(struct str text, struct wire_record *r)
{
    struct time_form form;
    r->has_time = str_to_i64(text, &r->time_ns) || time_parse(text, 0, &form, &r->time_ns);
    return r->has_time;
}

static bool is_object(const struct json_item *i)
{
    return i->lane == LANE_JSON || i->lane == LANE_OBJ;
}

/* ["<ns>", "<line>", {metadata}] */
static bool read_value(struct wire_decoder *d, struct str array, struct entry *e,
                       struct wire_record *r)
{
    struct json_walk w;
    struct json_item item;
    if (!json_walk_begin(&w, array) || !json_walk_next(&w, &item) || !json_time(item.text, r) ||
        !json_walk_next(&w, &item) || item.lane != LANE_STR)
        return false;
    e->line = json_walk_text(item.text, &d->arena);
    if (!json_walk_next(&w, &item))
        return true;
    if (is_object(&item))
        e->metadata_json = item.text;
    return is_object(&item) && !json_walk_next(&w, &item);
}

/* {"ts": "", "line": ""} */
static bool read_old_entry(struct wire_decoder *d, struct str object, struct entry *e,
                           struct wire_record *r)
{
    struct json_walk w;
    struct json_item item;
    bool line = false;
    if (!json_walk_begin(&w, object))
        return false;
    while (json_walk_next(&w, &item)) {
        if ((str_eq_c(item.key, "ts") || str_eq_c(item.key, "timestamp")) &&
            !json_time(item.text, r))
            return false;
        if (str_eq_c(item.key, "line") && item.lane == LANE_STR) {
            e->line = json_walk_text(item.text, &d->arena);
            line = true;
        }
    }
    return line && r->has_time;
}

static enum err add_json_entries(struct wire_decoder *d, const struct entry *of, struct str array)
{
    struct json_walk w;
    struct json_item item;
    if (!json_walk_begin(&w, array))
        return err_set(ERR_INVALID, "`values` is no array");
    while (json_walk_next(&w, &item)) {
        struct entry e = *of;
        struct wire_record r = {.put = put_entry, .ctx = &e, .raw = item.text};
        bool good = item.lane == LANE_ARR    ? read_value(d, item.text, &e, &r)
                    : item.lane == LANE_JSON ? read_old_entry(d, item.text, &e, &r)
                                             : false;
        if (!good) {
            (void)err_set(ERR_INVALID,
                          "an entry is not [\"<nanoseconds>\", \"<line>\", {metadata}]");
            wire_refuse(d, item.text);
            continue;
        }
        r.cost = item.text.n * 2 + of->stream_json.n * 2 + 64;
        TRY(wire_add(d, &r));
    }
    return OK;
}

static enum err add_json_stream(struct wire_decoder *d, struct str object)
{
    struct json_walk w;
    struct json_item item;
    struct entry e = {0};
    struct labels labels;
    struct str entries = {0};
    if (!json_walk_begin(&w, object) || w.close != '}')
        return refuse(d, err_set(ERR_INVALID, "a stream is no object"), object);
    while (json_walk_next(&w, &item)) {
        if (str_eq_c(item.key, "stream") && is_object(&item)) {
            e.stream_json = item.text;
        } else if (str_eq_c(item.key, "labels") && item.lane == LANE_STR) {
            enum err err = parse_labels(json_walk_text(item.text, &d->arena), &d->arena, &labels);
            if (err != OK)
                return refuse(d, err, object);
            e.labels = &labels;
        } else if ((str_eq_c(item.key, "values") || str_eq_c(item.key, "entries")) &&
                   item.lane == LANE_ARR) {
            entries = item.text;
        }
    }
    if (!entries.p)
        return refuse(d, err_set(ERR_INVALID, "a stream has no array `values`"), object);
    return add_json_entries(d, &e, entries);
}

enum err wire_decode_loki_json(struct wire_decoder *d, struct str body)
{
    struct json_walk w, streams;
    struct json_item item;
    TRY(json_check(d->reader, body));
    if (!json_walk_begin(&w, body) || w.close != '}')
        return err_set(ERR_INVALID, "a JSON object with `streams` is wanted");
    while (json_walk_next(&w, &item)) {
        if (!str_eq_c(item.key, "streams"))
            continue;
        if (item.lane != LANE_ARR || !json_walk_begin(&streams, item.text))
            return err_set(ERR_INVALID, "`streams` is no array");
        while (json_walk_next(&streams, &item))
            TRY(add_json_stream(d, item.text));
        return OK;
    }
    return err_set(ERR_INVALID, "a JSON object with `streams` is wanted");
}
