/* The grammar is that of RFC 3986 for a URL with an authority; what it leaves open to schemes is
 * kept simple: a port is a number, parameters are parted by '&'. */
#include "core/url.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

enum err url_decode(struct str s, const char *what, struct arena *arena, struct str *ret)
{
    char *to = arena_alloc(arena, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            to[n++] = s.p[i];
            continue;
        }
        int high = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return err_set(ERR_INVALID, "the %s of the URL has a '%%' without two hex digits",
                           what);
        to[n++] = (char)(high << 4 | low);
        i += 2;
    }
    to[n] = 0;
    *ret = str_of(to, n);
    return OK;
}

static bool is_scheme_byte(char c, bool first)
{
    char lower = (char)(c | 0x20);
    if (lower >= 'a' && lower <= 'z')
        return true;
    return !first && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.');
}

static enum err take_scheme(struct str *rest, struct arena *arena, struct str *ret)
{
    size_t n = 0;
    while (n < rest->n && is_scheme_byte(rest->p[n], n == 0))
        n++;
    if (n == 0 || !str_starts(str_from(*rest, n), STR("://")))
        return err_set(ERR_INVALID,
                       "a URL begins with a scheme, such as forward://127.0.0.1:24224");
    char *to = arena_alloc(arena, n + 1);
    for (size_t i = 0; i < n; i++)
        to[i] = rest->p[i] >= 'A' && rest->p[i] <= 'Z' ? (char)(rest->p[i] | 0x20) : rest->p[i];
    to[n] = 0;
    *ret = str_of(to, n);
    *rest = str_from(*rest, n + 3);
    return OK;
}

static enum err read_user(struct str s, struct arena *arena, struct url *u)
{
    struct str user = {0};
    if (!str_split(&s, ':', &user))
        return OK;
    TRY(url_decode(user, "user", arena, &u->user));
    return s.p ? url_decode(s, "password", arena, &u->password) : OK;
}

static enum err read_port(struct str s, struct url *u)
{
    uint64_t v;
    if (!str_to_u64(s, &v) || v > UINT16_MAX)
        return err_set(ERR_INVALID, "the port \"%.*s\" of the URL is no number from 0 to 65535",
                       s.n > 20 ? 20 : (int)s.n, s.p);
    u->has_port = true;
    u->port = (uint16_t)v;
    return OK;
}

static enum err read_host(struct str s, struct arena *arena, struct url *u)
{
    size_t colon;
    if (s.n && s.p[0] == '[') {
        size_t close = str_find_byte(s, ']', 0);
        if (close == s.n || (close + 1 < s.n && s.p[close + 1] != ':'))
            return err_set(ERR_INVALID, "an IPv6 host is written [::1] or [::1]:PORT");
        u->host = arena_str(arena, str_of(s.p + 1, close - 1));
        colon = close + 1;
    } else {
        colon = str_find_byte(s, ':', 0);
        TRY(url_decode(str_of(s.p, colon), "host", arena, &u->host));
    }
    return colon < s.n ? read_port(str_from(s, colon + 1), u) : OK;
}

static enum err read_authority(struct str s, struct arena *arena, struct url *u)
{
    size_t at = s.n;
    while (at > 0 && s.p[at - 1] != '@')
        at--;
    if (at > 0)
        TRY(read_user(str_of(s.p, at - 1), arena, u));
    return read_host(str_from(s, at), arena, u);
}

/* The first comma behind the user. */
static size_t find_comma(struct str authority)
{
    size_t at = authority.n;
    while (at > 0 && authority.p[at - 1] != '@')
        at--;
    return str_find_byte(authority, ',', at);
}

static enum err read_params(struct str s, struct arena *arena, struct url *u)
{
    struct str part = {0};
    while (s.n && str_split(&s, '&', &part)) {
        if (!part.n)
            continue;
        if (u->n_params == URL_PARAMS_MAX)
            return err_set(ERR_LIMIT, "the URL has more than %d parameters", URL_PARAMS_MAX);
        struct url_param *p = &u->param[u->n_params++];
        size_t eq = str_find_byte(part, '=', 0);
        TRY(url_decode(str_of(part.p, eq), "name of a parameter", arena, &p->name));
        TRY(url_decode(str_from(part, eq + 1), "value of a parameter", arena, &p->value));
    }
    return OK;
}

enum err url_parse(struct str text, struct arena *arena, struct url *ret)
{
    struct url u = {0};
    struct str rest = text;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] <= 0x20 || text.p[i] == 0x7f)
            return err_set(ERR_INVALID, "a space or control character at byte %zu of the URL", i);
    TRY(take_scheme(&rest, arena, &u.scheme));
    size_t fragment = str_find_byte(rest, '#', 0);
    if (fragment < rest.n)
        return err_set(ERR_INVALID, "a '#' in a URL is written %%23");
    size_t query = str_find_byte(rest, '?', 0);
    struct str before = str_of(rest.p, query);
    size_t slash = str_find_byte(before, '/', 0);
    struct str authority = str_of(before.p, slash);
    size_t comma = find_comma(authority);
    TRY(read_authority(str_of(authority.p, comma), arena, &u));
    u.others = arena_str(arena, str_from(authority, comma + 1));
    TRY(url_decode(str_from(before, slash), "path", arena, &u.path));
    TRY(read_params(str_from(rest, query + 1), arena, &u));
    *ret = u;
    return OK;
}

struct str url_get(const struct url *u, const char *name)
{
    for (unsigned i = u->n_params; i-- > 0;)
        if (str_eq_c(u->param[i].name, name))
            return u->param[i].value;
    return (struct str){0};
}

static const char *nearest(struct str name, const char *const *known)
{
    const char *best = NULL;
    unsigned distance = 4;
    for (; *known; known++) {
        unsigned d = str_distance(name, str_c(*known), distance);
        if (d < distance) {
            distance = d;
            best = *known;
        }
    }
    return best;
}

enum err url_check_params(const struct url *u, const char *const *known)
{
    if (u->others.n)
        return err_set(ERR_INVALID, "%.*s:// takes one host", STR_ARG(u->scheme));
    for (unsigned i = 0; i < u->n_params; i++) {
        struct str name = u->param[i].name;
        const char *const *k = known;
        while (*k && !str_eq_c(name, *k))
            k++;
        if (*k)
            continue;
        const char *meant = nearest(name, known);
        return err_set(ERR_INVALID, "%.*s:// knows no parameter \"%.*s\"%s%s%s", STR_ARG(u->scheme),
                       name.n > 60 ? 60 : (int)name.n, name.p, meant ? "; did you mean \"" : "",
                       meant ? meant : "", meant ? "\"?" : "");
    }
    return OK;
}

enum err url_choice(const struct url *u, const char *name, const char *const *choice, unsigned *ret)
{
    struct str v = url_get(u, name);
    struct buf all;
    if (!v.p)
        return OK;
    for (unsigned i = 0; choice[i]; i++)
        if (str_eq_c(v, choice[i])) {
            *ret = i;
            return OK;
        }
    buf_init(&all, 1024);
    for (unsigned i = 0; choice[i]; i++)
        buf_printf(&all, "%s%s", !i ? "" : choice[i + 1] ? ", " : " or ", choice[i]);
    enum err err = err_set(ERR_INVALID, "%s=%.*s: %.*s is wanted", name, v.n > 40 ? 40 : (int)v.n,
                           v.p, STR_ARG(buf_str(&all)));
    buf_release(&all);
    return err;
}

enum err url_unknown_scheme(const char *what, struct str scheme, const char *const *known)
{
    const char *meant = nearest(scheme, known);
    int n = scheme.n > 40 ? 40 : (int)scheme.n;
    if (meant)
        return err_set(ERR_INVALID, "no %s has the scheme %.*s://; did you mean %s://?", what, n,
                       scheme.p, meant);
    struct buf names;
    buf_init(&names, 1024);
    for (; *known; known++)
        if (!str_ends(str_c(*known), STR("+tls")))
            buf_printf(&names, "%s%s", names.n ? ", " : "", *known);
    enum err err = err_set(ERR_INVALID, "no %s has the scheme %.*s://; there are %.*s", what, n,
                           scheme.p, STR_ARG(buf_str(&names)));
    buf_release(&names);
    return err;
}

void url_put_plain(const struct url *u, struct buf *out)
{
    bool v6 = str_find_byte(u->host, ':', 0) < u->host.n;
    buf_printf(out, "%.*s://%s%.*s%s", STR_ARG(u->scheme), v6 ? "[" : "", STR_ARG(u->host),
               v6 ? "]" : "");
    if (u->has_port)
        buf_printf(out, ":%u", u->port);
    buf_put_str(out, u->path);
}
