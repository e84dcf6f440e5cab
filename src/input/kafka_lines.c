#include "input/kafka_lines.h"

#include "core/hash.h"
#include "core/mem.h"

void kafka_lines_init(struct kafka_lines *l)
{
    *l = (struct kafka_lines){0};
    buf_init(&l->text, SIZE_MAX);
}

void kafka_lines_release(struct kafka_lines *l)
{
    buf_release(&l->text);
    mem_free(l->line);
}

void kafka_lines_clear(struct kafka_lines *l)
{
    l->n = 0;
    buf_clear(&l->text);
}

void kafka_lines_add(struct kafka_lines *l, const struct kafka_message *m)
{
    ARRAY_GROW(l->line, l->cap, l->n + 1);
    l->line[l->n++] = (struct kafka_line){.offset = m->offset,
                                          .time_ms = m->time_ms,
                                          .at = l->text.n,
                                          .key_n = (uint32_t)m->key.n,
                                          .value_n = (uint32_t)m->value.n,
                                          .none = !m->value.p};
    buf_put_str(&l->text, m->key);
    buf_put_str(&l->text, m->value);
}

uint32_t kafka_lines_before(const struct kafka_lines *l, int64_t offset)
{
    uint32_t n = l->n;
    while (n && l->line[n - 1].offset >= offset)
        n--;
    return n;
}

/* ---- which lines are a record ---- */

static struct str key_of(const struct kafka_lines *l, const struct kafka_line *line)
{
    return str_of(str_from(buf_str(&l->text), line->at).p, line->key_n);
}

static struct str value_of(const struct kafka_lines *l, const struct kafka_line *line)
{
    return str_of(str_from(buf_str(&l->text), line->at + line->key_n).p, line->value_n);
}

struct place {
    uint32_t first;      /* of its record */
    uint32_t next, last; /* lines that go on with this one; 0: none */
    bool open;           /* of a first line: it is the last record of its key */
};
struct source {
    uint64_t hash;
    uint32_t first; /* line + 1; 0: nobody's place */
    struct multiline_state state;
};

static struct source *find_source(struct source *list, uint32_t mask, struct str key)
{
    uint64_t hash = hash64(key);
    uint32_t at = (uint32_t)hash & mask;
    while (list[at].first && list[at].hash != hash)
        at = (at + 1) & mask;
    list[at].hash = hash;
    return &list[at];
}

static void place_line(const struct kafka_lines *l, const struct multiline *m, struct source *s,
                       struct place *place, uint32_t i)
{
    bool goes_on = multiline_continues(m, &s->state, value_of(l, &l->line[i])) && s->first;
    if (!goes_on) {
        if (s->first)
            place[s->first - 1].open = false;
        s->first = i + 1;
        place[i] = (struct place){.first = i, .last = i, .open = true};
        return;
    }
    struct place *first = &place[s->first - 1];
    place[first->last].next = i;
    first->last = i;
    place[i].first = s->first - 1;
}

/* Of the first n lines; the caller's to free. */
static struct place *place_lines(const struct kafka_lines *l, const struct multiline *m, uint32_t n)
{
    struct place *place = NEW_ARRAY(struct place, n + 1);
    uint32_t slots = 16;
    while (slots < 2 * n)
        slots *= 2;
    struct source *list = NEW_ARRAY(struct source, slots);
    for (uint32_t i = 0; i < n; i++) {
        if (l->line[i].none)
            place[i] = (struct place){.first = i, .last = i};
        else
            place_line(l, m, find_source(list, slots - 1, key_of(l, &l->line[i])), place, i);
    }
    mem_free(list);
    return place;
}

uint32_t kafka_lines_whole(const struct kafka_lines *l, const struct multiline *m)
{
    struct place *place = place_lines(l, m, l->n);
    uint32_t end = l->n;
    for (uint32_t i = l->n; i-- > 0;) {
        bool waits = place[i].open && l->line[i].at >= l->text.n / 2;
        if (place[i].first == i && (waits || place[i].last >= end))
            end = i;
    }
    mem_free(place);
    return end;
}

/* ---- records ---- */

static void put_record(const struct kafka_lines *l, const struct place *place, uint32_t first,
                       struct buf *text, struct buf *body)
{
    const struct kafka_line *line = &l->line[first];
    struct kafka_message m = {line->offset, line->time_ms, key_of(l, line), value_of(l, line)};
    if (place[first].next) {
        buf_clear(text);
        buf_put_str(text, m.value);
        for (uint32_t i = place[first].next; i; i = place[i].next) {
            buf_put_byte(text, '\n');
            buf_put_str(text, value_of(l, &l->line[i]));
        }
        m.value = buf_str(text);
    }
    kafka_body_add(body, &m);
}

static void forget(struct kafka_lines *l, uint32_t n)
{
    size_t from = n < l->n ? l->line[n].at : l->text.n;
    if (l->text.n > from)
        memmove(l->text.p, l->text.p + from, l->text.n - from);
    l->text.n -= from;
    l->n -= n;
    memmove(l->line, l->line + n, l->n * sizeof(*l->line));
    for (uint32_t i = 0; i < l->n; i++)
        l->line[i].at -= from;
}

void kafka_lines_take(struct kafka_lines *l, const struct multiline *m, uint32_t n,
                      struct buf *body)
{
    struct place *place = place_lines(l, m, n);
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (uint32_t i = 0; i < n; i++)
        if (place[i].first == i)
            put_record(l, place, i, &text, body);
    buf_release(&text);
    mem_free(place);
    forget(l, n);
}
