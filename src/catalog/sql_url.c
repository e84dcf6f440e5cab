/* The database that a URL names.
 *
 *   sqlite:                    DATA/catalog.db, of one process
 *   sqlite:PATH                another file
 *   sqlite:PATH?shared=true    a file of several processes of one host
 *   postgresql://...           a server's; postgres:// is the same
 *   mysql://..., mysql+tls://  a server's
 *
 * A path stands as it is, without percent escapes. */
#include "catalog/sql.h"
#include "core/io.h"
#include "core/mem.h"

struct place {
    struct str path; /* empty: the customary file of the data folder */
    bool shared;
};

static enum err read_sqlite(struct str rest, struct place *ret)
{
    size_t query = str_find_byte(rest, '?', 0);
    struct str params = str_from(rest, query + 1), param = {0};
    ret->path = str_of(rest.p, query);
    while (params.n && str_split(&params, '&', &param)) {
        if (str_eq(param, STR("shared=true")))
            ret->shared = true;
        else if (!str_eq(param, STR("shared=false")))
            return err_set(ERR_INVALID, "sqlite: knows no parameter \"%.*s\"; there is shared=true",
                           param.n > 60 ? 60 : (int)param.n, param.p);
    }
    if (ret->shared && !ret->path.n)
        return err_set(ERR_INVALID, "sqlite: what several servers share is no file of one's data "
                                    "folder: sqlite:PATH?shared=true is wanted");
    return OK;
}

static bool is_postgresql(struct str url)
{
    return str_starts(url, STR("postgresql://")) || str_starts(url, STR("postgres://"));
}

static bool is_mysql(struct str url)
{
    return str_starts(url, STR("mysql://")) || str_starts(url, STR("mysql+tls://"));
}

/* sqlite: */
static enum err read_url(struct str url, struct place *ret)
{
    struct place place = {0};
    if (!str_starts(url, STR("sqlite:")))
        return err_set(ERR_INVALID,
                       "sqlite:, sqlite:PATH, postgresql://HOST/DATABASE or mysql://HOST/DATABASE "
                       "is wanted");
    if (str_find_byte(url, 0, 0) < url.n)
        return err_set(ERR_INVALID, "a NUL in the URL");
    TRY(read_sqlite(str_from(url, STR("sqlite:").n), &place));
    *ret = place;
    return OK;
}

enum err sql_check_url(struct str url)
{
    struct place place;
    if (is_postgresql(url))
        return sql_check_postgresql(url);
    if (is_mysql(url))
        return sql_check_mysql(url);
    return read_url(url, &place);
}

enum err sql_open_url(struct str url, const char *data, bool make, struct sql **ret)
{
    struct place place;
    if (is_postgresql(url))
        return sql_open_postgresql(url, make, ret);
    if (is_mysql(url))
        return sql_open_mysql(url, make, ret);
    TRY(read_url(url, &place));
    char *path = place.path.n ? mem_strdup(place.path) : mem_printf("%s/catalog.db", data);
    enum err err = !make && !io_exists(path) ? err_set(ERR_NOTFOUND, "there is no %s yet", path)
                   : place.shared            ? sql_open_sqlite_shared(path, ret)
                                             : sql_open_sqlite(path, ret);
    mem_free(path);
    return err;
}

struct str sql_url_plain(struct str url, struct arena *a)
{
    struct str plain = str_of(url.p, str_find_byte(url, '?', 0));
    if (!is_postgresql(url) && !is_mysql(url))
        return arena_str(a, plain);
    size_t host = str_find(plain, STR("://")) + 3;
    for (size_t i = host; i < plain.n; i++)
        if (plain.p[i] == '@')
            host = i + 1;
    struct str rest = str_from(plain, host),
               scheme = is_mysql(url) ? STR("mysql://") : STR("postgresql://");
    char *text = arena_alloc(a, scheme.n + rest.n + 1);
    memcpy(text, scheme.p, scheme.n);
    memcpy(text + scheme.n, rest.n ? rest.p : "", rest.n);
    text[scheme.n + rest.n] = 0;
    return str_of(text, scheme.n + rest.n);
}
