#include "input/tail_positions.h"

#include "core/io.h"
#include "core/mem.h"
#include "record/timestamp.h"
#include "wire/container.h"

#include <inttypes.h>

enum { FILE_MAX = 256 << 20, FIELDS = 9 };

static void entry_release(struct tail_entry *e)
{
    mem_free(e->path);
}

void tail_positions_release(struct tail_positions *p)
{
    for (size_t i = 0; i < p->n; i++)
        entry_release(&p->entry[i]);
    mem_free(p->entry);
    *p = (struct tail_positions){0};
}

size_t tail_positions_find(const struct tail_positions *p, uint64_t device, uint64_t inode)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->entry[i].inode == inode && p->entry[i].device == device)
            return i;
    return SIZE_MAX;
}

void tail_positions_put(struct tail_positions *p, const struct tail_entry *e)
{
    size_t i = tail_positions_find(p, e->device, e->inode);
    char *path = mem_strdup(str_c(e->path));
    if (i == SIZE_MAX) {
        ARRAY_GROW(p->entry, p->cap, p->n + 1);
        i = p->n++;
    } else {
        entry_release(&p->entry[i]);
    }
    p->entry[i] = *e;
    p->entry[i].path = path;
}

void tail_positions_remove(struct tail_positions *p, size_t index)
{
    entry_release(&p->entry[index]);
    p->entry[index] = p->entry[--p->n];
}

/* ---- lines ---- */

static void put_path(struct buf *out, const char *path)
{
    for (; *path; path++) {
        if (*path == '\n')
            buf_put_c(out, "\\n");
        else if (*path == '\\')
            buf_put_c(out, "\\\\");
        else
            buf_put_byte(out, *path);
    }
}

void tail_entry_write(const struct tail_entry *e, struct buf *out)
{
    char time[TIME_TEXT_MAX];
    buf_printf(
        out, "%" PRIu64 " %" PRIu64 " %u %016" PRIx64 " %" PRIu64 " %016" PRIx64 " %" PRIu64 " ",
        e->device, e->inode, e->head_bytes, e->head_hash, e->offset, e->tail_hash, e->records);
    buf_put(out, time, time_rfc3339(e->at_ns, time));
    buf_put_c(out, e->gone ? " gone" : " open");
    for (unsigned i = 0; i < TAIL_STREAMS; i++)
        if (e->ahead[i] > e->offset)
            buf_printf(out, ",%s=%" PRIu64, container_streams[i], e->ahead[i]);
    buf_put_byte(out, ' ');
    put_path(out, e->path);
    buf_put_byte(out, '\n');
}

void tail_journal_write(const char *cursor, uint64_t records, struct buf *out)
{
    if (*cursor)
        buf_printf(out, "journal %" PRIu64 " %s\n", records, cursor);
}

static char *take_path(struct str s)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < s.n; i++) {
        bool escape = s.p[i] == '\\' && i + 1 < s.n;
        i += escape;
        buf_put_byte(&b, escape && s.p[i] == 'n' ? '\n' : s.p[i]);
    }
    buf_put_byte(&b, '\0');
    return b.p;
}

static bool hex(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret = v;
    return s.n == 16;
}

/* "open", "gone,stderr=123" */
static bool parse_state(struct str text, struct tail_entry *e)
{
    struct str part, name;
    str_split(&text, ',', &part);
    e->gone = str_eq(part, STR("gone"));
    if (!e->gone && !str_eq(part, STR("open")))
        return false;
    while (str_split(&text, ',', &part)) {
        unsigned i = 0;
        str_split(&part, '=', &name);
        while (i < TAIL_STREAMS && !str_eq_c(name, container_streams[i]))
            i++;
        if (i == TAIL_STREAMS || !str_to_u64(part, &e->ahead[i]))
            return false;
    }
    return true;
}

/* False when the line is not an entry. */
static bool parse_entry(struct str line, struct tail_entry *e)
{
    struct str f[FIELDS];
    uint64_t head_bytes = 0;
    struct time_form form;
    for (int i = 0; i < FIELDS; i++)
        if (!str_split(&line, ' ', &f[i]) || !line.p)
            return false;
    *e = (struct tail_entry){0};
    if (!str_to_u64(f[0], &e->device) || !str_to_u64(f[1], &e->inode) ||
        !str_to_u64(f[2], &head_bytes) || head_bytes > TAIL_MARK || !hex(f[3], &e->head_hash) ||
        !str_to_u64(f[4], &e->offset) || !hex(f[5], &e->tail_hash) ||
        !str_to_u64(f[6], &e->records) || !time_parse(f[7], 0, &form, &e->at_ns) ||
        !parse_state(f[8], e) || !line.n || str_find_byte(line, '\0', 0) < line.n)
        return false;
    e->head_bytes = (uint32_t)head_bytes;
    e->path = take_path(line);
    return true;
}

static bool parse_journal(struct tail_positions *p, struct str line)
{
    struct str records;
    if (!str_split(&line, ' ', &records) || !str_to_u64(records, &p->journal_records) || !line.n ||
        line.n >= TAIL_CURSOR_MAX || str_find_byte(line, '\0', 0) < line.n)
        return false;
    memcpy(p->journal, line.p, line.n);
    p->journal[line.n] = '\0';
    return true;
}

static bool parse_line(struct tail_positions *p, struct str line)
{
    struct tail_entry e;
    if (str_starts(line, STR("#")))
        return true;
    if (str_starts(line, STR("spool ")))
        return line.n > 23 && hex(str_of(line.p + 6, 16), &p->epoch) &&
               str_to_u64(str_from(line, 23), &p->spool);
    if (str_starts(line, STR("retired ")))
        return str_to_u64(str_from(line, 8), &p->retired);
    if (str_starts(line, STR("dropped ")))
        return str_to_u64(str_from(line, 8), &p->dropped);
    if (str_starts(line, STR("journal ")))
        return parse_journal(p, str_from(line, 8));
    if (!parse_entry(line, &e))
        return false;
    tail_positions_put(p, &e);
    entry_release(&e);
    return true;
}

enum err tail_positions_read(struct tail_positions *p, struct str lines, const char *name)
{
    struct str line;
    for (unsigned number = 1; str_split(&lines, '\n', &line); number++)
        if (line.n && !parse_line(p, line))
            return err_set(ERR_CORRUPT, "%s: line %u cannot be read: %.*s", name, number,
                           line.n > 200 ? 200 : (int)line.n, line.p);
    return OK;
}

/* ---- the file ---- */

enum err tail_positions_load(struct tail_positions *p, const char *file)
{
    struct buf b;
    *p = (struct tail_positions){.spool = 1};
    if (!io_exists(file))
        return OK;
    TRY(io_read_file(file, FILE_MAX, &b));
    enum err err = tail_positions_read(p, buf_str(&b), file);
    buf_release(&b);
    return err;
}

enum err tail_positions_save(const struct tail_positions *p, const char *file)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_printf(&b,
               "# weir agent positions, version 1\n"
               "# device inode head-bytes head-hash offset tail-hash records at state path\n"
               "spool %016" PRIx64 " %" PRIu64 "\nretired %" PRIu64 "\ndropped %" PRIu64 "\n",
               p->epoch, p->spool, p->retired, p->dropped);
    for (size_t i = 0; i < p->n; i++)
        tail_entry_write(&p->entry[i], &b);
    tail_journal_write(p->journal, p->journal_records, &b);
    enum err err = io_write_file(file, buf_str(&b));
    buf_release(&b);
    return err;
}
