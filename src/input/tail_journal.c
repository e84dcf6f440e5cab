/* systemd's journal, by sd-journal(3). The library is loaded when a journal is followed: an agent
 * without one does not carry it.
 *
 * A record has all fields of the entry (the trusted ones, which begin with '_', but for those that
 * are the same for the whole boot or only inform the journal), and in front of them
 *   message   MESSAGE
 *   level     PRIORITY: FATAL (0 to 2), ERROR (3), WARN (4), INFO (5, 6), DEBUG (7)
 *   service   SYSLOG_IDENTIFIER's program where the unit is a session's, else the unit without its
 *             end (_SYSTEMD_UNIT, _SYSTEMD_USER_UNIT), else SYSLOG_IDENTIFIER, else _COMM
 *   host      _HOSTNAME
 * Its time is __REALTIME: when the journal took it. A field that comes more than once is an array.
 * What is no UTF-8 is kept as its bytes.
 *
 * The cursor of the last entry is noted with its record in the spool (tail_positions.h). */
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "input/tail_impl.h"
#include "record/frame.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>

enum { ENTRIES_MAX = 2000, FIELDS_MAX = 1024, FIELD_BYTES_MAX = 1 << 20 };

/* What is called of the library; of the types in its header. */
struct calls {
    void *library;
    __typeof__(sd_journal_open) *open;
    __typeof__(sd_journal_open_directory) *open_directory;
    __typeof__(sd_journal_close) *close;
    __typeof__(sd_journal_get_fd) *get_fd;
    __typeof__(sd_journal_process) *process;
    __typeof__(sd_journal_next) *next;
    __typeof__(sd_journal_seek_head) *seek_head;
    __typeof__(sd_journal_seek_cursor) *seek_cursor;
    __typeof__(sd_journal_test_cursor) *test_cursor;
    __typeof__(sd_journal_get_cursor) *get_cursor;
    __typeof__(sd_journal_get_realtime_usec) *get_realtime;
    __typeof__(sd_journal_restart_data) *restart_data;
    __typeof__(sd_journal_enumerate_available_data) *next_data;
    __typeof__(sd_journal_set_data_threshold) *set_threshold;
};

struct field {
    struct str name, value;
};

struct tail_journal {
    struct calls call;
    char *folder;
    sd_journal *j;
    int fd;
    char cursor[TAIL_CURSOR_MAX]; /* of the last entry in the body */
    uint64_t noted;               /* entries in the spool */
    uint64_t added;               /* entries in the body at hand */
    struct field field[FIELDS_MAX];
    unsigned n;
    struct arena arena; /* of an entry */
};

/* ---- the library ---- */

static enum err load(struct calls *c)
{
    const struct {
        const char *name;
        void *to;
    } symbols[] = {
        {"sd_journal_open", &c->open},
        {"sd_journal_open_directory", &c->open_directory},
        {"sd_journal_close", &c->close},
        {"sd_journal_get_fd", &c->get_fd},
        {"sd_journal_process", &c->process},
        {"sd_journal_next", &c->next},
        {"sd_journal_seek_head", &c->seek_head},
        {"sd_journal_seek_cursor", &c->seek_cursor},
        {"sd_journal_test_cursor", &c->test_cursor},
        {"sd_journal_get_cursor", &c->get_cursor},
        {"sd_journal_get_realtime_usec", &c->get_realtime},
        {"sd_journal_restart_data", &c->restart_data},
        {"sd_journal_enumerate_available_data", &c->next_data},
        {"sd_journal_set_data_threshold", &c->set_threshold},
    };
    c->library = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!c->library)
        return err_set(ERR_UNSUPPORTED, "the journal needs libsystemd: %s", dlerror());
    for (size_t i = 0; i < sizeof(symbols) / sizeof(*symbols); i++) {
        void *symbol = dlsym(c->library, symbols[i].name);
        if (!symbol)
            return err_set(ERR_UNSUPPORTED, "libsystemd has no %s", symbols[i].name);
        memcpy(symbols[i].to, &symbol, sizeof(symbol));
    }
    return OK;
}

static enum err failed(int code, const char *what)
{
    return err_set(ERR_IO, "journal: %s: %s", what, strerror(-code));
}

enum err tail_journal_new(const char *folder, struct tail_journal **ret)
{
    struct tail_journal *j = NEW(struct tail_journal);
    j->fd = -1;
    j->folder = mem_strdup(str_c(folder));
    arena_init(&j->arena, 0, NULL);
    enum err err = load(&j->call);
    int r = 0;
    if (err == OK)
        r = folder[0] ? j->call.open_directory(&j->j, folder, 0)
                      : j->call.open(&j->j, SD_JOURNAL_LOCAL_ONLY);
    if (r < 0)
        err = failed(r, folder[0] ? folder : "it cannot be opened");
    if (err != OK) {
        tail_journal_free(j);
        return err;
    }
    *ret = j;
    return OK;
}

void tail_journal_free(struct tail_journal *j)
{
    if (!j)
        return;
    if (j->j)
        j->call.close(j->j);
    if (j->call.library)
        dlclose(j->call.library);
    arena_release(&j->arena);
    mem_free(j->folder);
    mem_free(j);
}

const char *tail_journal_folder(const struct tail_journal *j)
{
    return j->folder;
}

/* Behind the entry that is in the spool, or at the beginning. */
static enum err seek(struct tail *t, struct tail_journal *j)
{
    const char *cursor = t->positions.journal;
    (void)j->call.set_threshold(j->j, 0);
    j->fd = j->call.get_fd(j->j);
    int r = *cursor ? j->call.seek_cursor(j->j, cursor) : j->call.seek_head(j->j);
    if (r < 0)
        return failed(r, "cannot be read from the place noted");
    snprintf(j->cursor, sizeof(j->cursor), "%s", cursor);
    j->noted = t->positions.journal_records;
    return OK;
}

int tail_journal_fd(const struct tail_journal *j)
{
    return j ? j->fd : -1;
}

/* ---- entries ---- */

static bool is_wanted(struct str name)
{
    static const char *const not_wanted[] = {"_BOOT_ID",
                                             "_MACHINE_ID",
                                             "_SOURCE_REALTIME_TIMESTAMP",
                                             "_SYSTEMD_INVOCATION_ID",
                                             "_CAP_EFFECTIVE",
                                             "_SELINUX_CONTEXT",
                                             "_RUNTIME_SCOPE",
                                             "SYSLOG_TIMESTAMP",
                                             NULL};
    for (const char *const *n = not_wanted; *n; n++)
        if (str_eq_c(name, *n))
            return false;
    return name.n && !str_starts(name, STR("__"));
}

static void read_fields(struct tail_journal *j)
{
    const void *data;
    size_t n;
    j->n = 0;
    arena_reset(&j->arena);
    j->call.restart_data(j->j);
    while (j->n < FIELDS_MAX && j->call.next_data(j->j, &data, &n) > 0) {
        struct str text = str_of(data, n), name;
        size_t is = str_find_byte(text, '=', 0);
        name = str_of(text.p, is);
        if (is == n || n > FIELD_BYTES_MAX || !is_wanted(name))
            continue;
        j->field[j->n].name = arena_str(&j->arena, name);
        j->field[j->n++].value = arena_str(&j->arena, str_from(text, is + 1));
    }
}

static struct str value_of(const struct tail_journal *j, const char *name)
{
    for (unsigned i = 0; i < j->n; i++)
        if (str_eq_c(j->field[i].name, name))
            return j->field[i].value;
    return STR("");
}

static struct str level_of(const struct tail_journal *j)
{
    static const char *const levels[] = {"FATAL", "FATAL", "FATAL", "ERROR",
                                         "WARN",  "INFO",  "INFO",  "DEBUG"};
    struct str priority = value_of(j, "PRIORITY");
    bool known = priority.n == 1 && priority.p[0] >= '0' && priority.p[0] <= '7';
    return known ? str_c(levels[priority.p[0] - '0']) : STR("");
}

static struct str service_of(const struct tail_journal *j)
{
    static const char *const ends[] = {".service", ".scope", ".socket", NULL};
    struct str unit = value_of(j, "_SYSTEMD_UNIT"), user = value_of(j, "_SYSTEMD_USER_UNIT");
    struct str program = value_of(j, "SYSLOG_IDENTIFIER");
    unit = user.n ? user : unit;
    if (str_starts(unit, STR("session-")) || str_starts(unit, STR("user@")) || !unit.n ||
        str_eq(unit, STR("init.scope")))
        unit = program.n ? program : value_of(j, "_COMM");
    for (const char *const *end = ends; *end; end++)
        if (str_ends(unit, str_c(*end)))
            unit.n -= strlen(*end);
    return unit;
}

static bool is_first(const struct tail_journal *j, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (str_eq(j->field[k].name, j->field[i].name))
            return false;
    return true;
}

/* The field under its name; all of that name as an array where there are more. */
static void put_field(struct tail_journal *j, struct batch *b, unsigned i, struct buf *array)
{
    unsigned more = 0;
    buf_clear(array);
    for (unsigned k = i; k < j->n; k++) {
        if (!str_eq(j->field[k].name, j->field[i].name))
            continue;
        buf_put_byte(array, more++ ? ',' : '[');
        json_put_string(array, j->field[k].value);
    }
    buf_put_byte(array, ']');
    if (more > 1)
        batch_text(b, j->field[i].name, LANE_ARR, buf_str(array));
    else
        batch_text(b, j->field[i].name, LANE_STR, j->field[i].value);
}

static void put_if(struct batch *b, struct str key, struct str text)
{
    if (text.n)
        batch_text(b, key, LANE_STR, text);
}

/* The record; false where the batch takes no more names. */
static bool put_record(struct tail *t, struct tail_journal *j, size_t bytes)
{
    struct batch *b = t->body.batch;
    struct buf array;
    uint64_t usec;
    struct str host = value_of(j, "_HOSTNAME"), service = service_of(j);
    buf_init(&array, SIZE_MAX);
    batch_begin(b);
    put_if(b, STR("message"), value_of(j, "MESSAGE"));
    put_if(b, STR("level"), level_of(j));
    put_if(b, STR("service"), t->service[0] ? str_c(t->service) : service);
    put_if(b, STR("host"), host.n ? host : str_c(t->host));
    for (unsigned i = 0; i < j->n; i++)
        if (!str_eq(j->field[i].name, STR("MESSAGE")) && is_first(j, i))
            put_field(j, b, i, &array);
    if (j->call.get_realtime(j->j, &usec) >= 0 && usec < INT64_MAX / 1000)
        batch_time(b, (int64_t)usec * 1000);
    buf_release(&array);
    bool good = batch_try_end(b, t->body.arrival_ns, bytes);
    if (!good)
        batch_cancel(b);
    return good;
}

static enum err put_entry(struct tail *t, struct tail_journal *j)
{
    size_t bytes = 0;
    read_fields(j);
    for (unsigned i = 0; i < j->n; i++)
        bytes += j->field[i].name.n + 2 * j->field[i].value.n + 8;
    TRY(tail_body_room(t, bytes));
    if (!put_record(t, j, bytes)) {
        TRY(tail_body_room(t, FRAME_BYTES_MAX)); /* an empty batch */
        if (!put_record(t, j, bytes))
            return err_set(ERR_LIMIT, "an entry of the journal has more fields than a record may");
    }
    t->body.any = true;
    j->added++;
    return OK;
}

static enum err take_entry(struct tail *t, struct tail_journal *j)
{
    char *cursor = NULL;
    int r = j->call.get_cursor(j->j, &cursor);
    if (r < 0)
        return failed(r, "an entry has no place");
    /* A noted entry is met again when it is the first. */
    enum err err = *j->cursor && j->call.test_cursor(j->j, j->cursor) > 0 ? OK : put_entry(t, j);
    if (err == OK)
        snprintf(j->cursor, sizeof(j->cursor), "%s", cursor);
    mem_free(cursor);
    return err;
}

enum err tail_journal_read(struct tail *t, struct tail_journal *j, bool *ret_more)
{
    int r = 0;
    *ret_more = false;
    if (j->fd < 0)
        TRY(seek(t, j));
    if ((r = j->call.process(j->j)) < 0)
        return failed(r, "its files cannot be watched");
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        if ((r = j->call.next(j->j)) <= 0)
            return r < 0 ? failed(r, "cannot be read") : OK;
        TRY(take_entry(t, j));
        if (t->body.bytes >= TAIL_BODY_BYTES)
            TRY(tail_body_commit(t));
    }
    *ret_more = true;
    return OK;
}

/* ---- books ---- */

void tail_journal_note(struct tail_journal *j, struct buf *note)
{
    if (j->added)
        tail_journal_write(j->cursor, j->noted + j->added, note);
}

uint64_t tail_journal_committed(struct tail *t, struct tail_journal *j)
{
    uint64_t added = j->added;
    if (added) {
        j->noted += added;
        j->added = 0;
        t->positions.journal_records = j->noted;
        snprintf(t->positions.journal, sizeof(t->positions.journal), "%s", j->cursor);
    }
    return added;
}
