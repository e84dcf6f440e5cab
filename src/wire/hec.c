/* Splunk's HTTP event collector, events (docs.splunk.com, "Format events for HTTP Event
 * Collector"): JSON objects behind each other, white space or nothing between them:
 *
 *     {"time": 1426279439.5, "host": "h", "source": "s", "sourcetype": "t", "index": "i",
 *      "event": "text" or {...}, "fields": {"device": "macbook"}}
 *
 * A record is what Splunk shows of an event: an event's members are the record's, a text is its
 * `message`; then host, source, sourcetype and index where the event does not have them, then the
 * members of `fields`. Its time is `time`. */
#include "record/json_walk.h"
#include "record/scan.h"
#include "record/timestamp.h"
#include "wire/decode_impl.h"

enum { ENVELOPE = 4 };
static const char *const envelope_names[ENVELOPE] = {"host", "source", "sourcetype", "index"};

struct event {
    struct str event, fields; /* JSON */
    struct str envelope[ENVELOPE];
};

static bool has_member(struct str object, const char *name)
{
    struct json_walk w;
    struct json_item item;
    if (json_walk_begin(&w, object))
        while (json_walk_next(&w, &item))
            if (str_eq_c(item.key, name))
                return true;
    return false;
}

static enum err put_event(void *ctx, struct put *p)
{
    const struct event *e = ctx;
    bool object = e->event.p[0] == '{';
    if (object)
        TRY(put_json_members(p, e->event));
    else
        TRY(put_json(p, STR("message"), e->event));
    for (int i = 0; i < ENVELOPE; i++)
        if (e->envelope[i].n && !(object && has_member(e->event, envelope_names[i])))
            TRY(put_json(p, str_c(envelope_names[i]), e->envelope[i]));
    return e->fields.n ? put_json_members(p, e->fields) : OK;
}

/* A number of seconds since 1970, also as a text. */
static enum err read_time(struct str text, struct wire_record *r)
{
    struct time_form form;
    double v;
    struct str s = text.n >= 2 && text.p[0] == '"' ? str_of(text.p + 1, text.n - 2) : text;
    if (time_parse(s, 0, &form, &r->time_ns) ||
        (str_to_f64(s, &v) && time_from_double(v, &r->time_ns))) {
        r->has_time = true;
        return OK;
    }
    return err_set(ERR_INVALID, "`time` is no time: %.*s", s.n > 40 ? 40 : (int)s.n, s.p);
}

static enum err read_member(const struct json_item *item, struct str whole, struct event *e,
                            struct wire_record *r)
{
    if (item->lane == LANE_NULL)
        return OK;
    if (str_eq_c(item->key, "event"))
        e->event = whole;
    else if (str_eq_c(item->key, "time"))
        return read_time(whole, r);
    else if (str_eq_c(item->key, "fields") && item->lane == LANE_JSON)
        e->fields = whole;
    for (int i = 0; i < ENVELOPE; i++)
        if (str_eq_c(item->key, envelope_names[i]))
            e->envelope[i] = whole;
    return OK;
}

/* The value of an item with its quotes. */
static struct str whole_of(const struct json_item *item)
{
    return item->lane == LANE_STR ? str_of(item->text.p - 1, item->text.n + 2) : item->text;
}

static enum err read_event(struct wire_decoder *d, struct str object, struct event *e,
                           struct wire_record *r)
{
    struct json_walk w;
    struct json_item item;
    TRY(json_check(d->reader, object));
    if (!json_walk_begin(&w, object) || w.close != '}')
        return err_set(ERR_INVALID, "an event is no JSON object");
    while (json_walk_next(&w, &item))
        TRY(read_member(&item, whole_of(&item), e, r));
    if (!e->event.n)
        return err_set(ERR_INVALID, "Event field is required");
    if (str_eq_c(e->event, "\"\""))
        return err_set(ERR_INVALID, "Event field cannot be blank");
    return OK;
}

static enum err add_event(struct wire_decoder *d, struct str object)
{
    struct event e = {0};
    struct wire_record r = {.put = put_event, .ctx = &e, .raw = object, .cost = object.n * 4};
    enum err err = read_event(d, object, &e, &r);
    if (err == OK)
        return wire_add(d, &r);
    if (err != ERR_INVALID && err != ERR_LIMIT)
        return err;
    wire_refuse(d, object);
    return OK;
}

/* The end of what cannot be read at `at`: where a line begins with an object, or the end. */
static size_t next_line_event(struct str body, size_t at)
{
    size_t found = str_find(str_from(body, at), STR("\n{"));
    return found == SIZE_MAX ? body.n : at + found;
}

enum err wire_decode_hec(struct wire_decoder *d, struct str body)
{
    size_t at = 0;
    for (;;) {
        while (at < body.n && strchr(" \t\r\n,", body.p[at]) && body.p[at])
            at++;
        if (at == body.n)
            return OK;
        bool object = body.p[at] == '{';
        size_t end = object ? scan_nested_end(body.p, at, body.n) : SIZE_MAX;
        if (end == SIZE_MAX) {
            end = next_line_event(body, at + 1);
            (void)err_set(ERR_INVALID, "%s",
                          object ? "the event does not end" : "an event is no JSON object");
            wire_refuse(d, str_of(body.p + at, end - at));
        } else {
            TRY(add_event(d, str_of(body.p + at, end - at)));
        }
        at = end;
    }
}
