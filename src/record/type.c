/* Lanes, paths and their dotted names.
 *
 * A path is its keys joined by PATH_SEP. Within a key the bytes PATH_SEP and PATH_ESC are written
 * PATH_ESC 'S' and PATH_ESC 'E', and an empty key is written PATH_ESC 'N'. So no segment is empty,
 * a separator always stands between two segments, and the empty path is nobody's but a whole
 * record's (LANE_JSON). */
#include "record/type.h"

#include "core/hash.h"
#include "core/mem.h"

const char *lane_name(enum lane l)
{
    static const char *const name[LANE_COUNT] = {
        [LANE_STR] = "string", [LANE_INT] = "integer", [LANE_DEC] = "decimal",
        [LANE_DBL] = "double", [LANE_NUM] = "number",  [LANE_BOOL] = "bool",
        [LANE_NULL] = "null",  [LANE_OBJ] = "object",  [LANE_ARR] = "array",
        [LANE_JSON] = "json",
    };
    return (unsigned)l < LANE_COUNT ? name[l] : "unknown";
}

static bool is_special(char c)
{
    return c == PATH_SEP || c == PATH_ESC;
}

static bool has_special(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (is_special(s.p[i]))
            return true;
    return false;
}

void path_push(struct buf *path, struct str key)
{
    if (path->n)
        buf_put_byte(path, PATH_SEP);
    if (!key.n)
        buf_put(path, "\x1eN", 2);
    if (!has_special(key)) {
        buf_put_str(path, key);
        return;
    }
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        if (is_special(c)) {
            buf_put_byte(path, PATH_ESC);
            c = c == PATH_SEP ? 'S' : 'E';
        }
        buf_put_byte(path, c);
    }
}

/* Undoes one escape at s.p[*i], which is PATH_ESC; false when it stands for nothing. */
static bool unescape(struct str s, size_t *i, char *ret)
{
    char c = ++*i < s.n ? s.p[*i] : 'N';
    *ret = c == 'S' ? PATH_SEP : PATH_ESC;
    return c != 'N';
}

void path_key(struct str segment, struct buf *out)
{
    for (size_t i = 0; i < segment.n; i++) {
        char c = segment.p[i];
        if (c != PATH_ESC || unescape(segment, &i, &c))
            buf_put_byte(out, c);
    }
}

struct str path_segment(struct str path, unsigned i)
{
    size_t from = 0;
    for (; i; i--) {
        size_t sep = str_find_byte(path, PATH_SEP, from);
        if (sep == path.n)
            return (struct str){0};
        from = sep + 1;
    }
    size_t end = str_find_byte(path, PATH_SEP, from);
    return str_of(path.p + from, end - from);
}

void path_name(struct str path, struct buf *ret_name)
{
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (c == PATH_SEP)
            c = '.';
        else if (c == PATH_ESC && !unescape(path, &i, &c))
            continue;
        buf_put_byte(ret_name, c);
    }
}

bool path_has_name(struct str path, struct str name)
{
    size_t at = 0;
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (c == PATH_SEP)
            c = '.';
        else if (c == PATH_ESC && !unescape(path, &i, &c))
            continue;
        if (at == name.n || name.p[at++] != c)
            return false;
    }
    return at == name.n;
}

uint64_t path_name_hash(struct str path)
{
    if (!has_special(path))
        return hash64(path);
    struct buf name;
    buf_init(&name, path.n);
    path_name(path, &name);
    uint64_t h = hash64(buf_str(&name));
    buf_release(&name);
    return h;
}

bool path_valid(struct str path)
{
    size_t begin = 0;
    for (size_t i = 0; i <= path.n; i++) {
        bool end = i == path.n || path.p[i] == PATH_SEP;
        if (end) {
            if (i == begin)
                return false;
            begin = i + 1;
        } else if (path.p[i] == PATH_ESC) {
            char c = ++i < path.n ? path.p[i] : 0;
            bool whole = i == begin + 1 && (i + 1 >= path.n || path.p[i + 1] == PATH_SEP);
            if (c != 'S' && c != 'E' && !(c == 'N' && whole))
                return false;
        }
    }
    return true;
}
