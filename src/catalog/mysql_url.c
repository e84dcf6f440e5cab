/* libmariadb, and the URLs of its servers:
 *
 *   mysql://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?PARAMETERS     mysql+tls:// is over TLS
 *
 *   password_file=PATH          the first line, read at each connection
 *   socket=PATH                 in place of hosts
 *   connect_timeout=SECONDS     for each host; 5
 *   tls_ca=, tls_cert=, tls_key=PATH, tls_verify=no */
#include "catalog/mysql.h"

#include "catalog/remote.h"
#include "core/url.h"

#include <pthread.h>
#include <stdio.h>

enum { URL_BYTES_MAX = 4096, PORT = 3306, CONNECT_S = 5, CONNECT_S_MAX = 600 };

/* ---- the library ---- */

static struct libmariadb library;
static const struct remote_symbol symbols[] = {
#define X(type, name, args) {#name, offsetof(struct libmariadb, name)},
    LIBMARIADB_FUNCTIONS(X)
#undef X
};
static struct remote_library loaded = {
    .file = "libmariadb.so.3",
    .needs = "mysql:// needs libmariadb (Debian's libmariadb3)",
    .old = "libmariadb is older than 3.3",
    .symbol = symbols,
    .n = sizeof(symbols) / sizeof(*symbols),
    .table = &library,
};

static void load(void)
{
    if (remote_load_library(&loaded) && library.mysql_server_init(0, NULL, NULL))
        snprintf(loaded.missing, sizeof(loaded.missing), "libmariadb cannot be initialised");
}

enum err libmariadb_load(const struct libmariadb **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (loaded.missing[0])
        return err_set(ERR_UNSUPPORTED, "%s", loaded.missing);
    *ret = &library;
    return OK;
}

/* ---- the URL ---- */

/* Where a '/' or a '?' of a password ends the host, what is read behind it is the password's: no
 * error may quote it. */
static enum err check_user(struct str url)
{
    size_t from = str_find(url, STR("://")) + 3, end = from;
    while (end < url.n && url.p[end] != '/' && url.p[end] != '?')
        end++;
    struct str authority = str_of(url.p + from, end - from);
    if (str_find_byte(authority, '@', 0) == authority.n && str_find_byte(url, '@', end) < url.n)
        return err_set(ERR_INVALID,
                       "in a user or password of a URL, '/' is written %%2F, '@' %%40, "
                       "'?' %%3F");
    return OK;
}

static enum err read_text(const struct url *u, const char *name, const char **ret)
{
    struct str v = url_get(u, name);
    if (!v.p)
        return OK;
    return remote_check_value(v, name, ret);
}

static enum err add_place(const struct url *u, struct my_target *t)
{
    if (!u->host.n)
        return err_set(ERR_INVALID, "mysql://USER@HOST/DATABASE is wanted");
    if (t->n_places == MY_PLACES_MAX)
        return err_set(ERR_LIMIT, "more than %d hosts", MY_PLACES_MAX);
    struct my_place *p = &t->place[t->n_places++];
    p->port = u->has_port ? u->port : PORT;
    return remote_check_value(u->host, "host", &p->host);
}

static enum err read_places(const struct url *u, struct arena *a, struct my_target *t)
{
    struct str rest = u->others, one = {0};
    TRY(add_place(u, t));
    while (rest.n && str_split(&rest, ',', &one)) {
        struct url other;
        TRY(url_parse(arena_printf(a, "mysql://%.*s", STR_ARG(one)), a, &other));
        TRY(add_place(&other, t));
    }
    return OK;
}

static enum err read_names(const struct url *u, struct my_target *t)
{
    if (u->user.n)
        TRY(remote_check_value(u->user, "user", &t->user));
    if (u->password.n)
        TRY(remote_check_value(u->password, "password", &t->password));
    if (str_find_byte(str_from(u->path, 1), '/', 0) < str_from(u->path, 1).n || u->path.n < 2)
        return err_set(ERR_INVALID,
                       "one database is wanted behind the host: mysql://HOST/DATABASE");
    TRY(remote_check_value(str_from(u->path, 1), "database", &t->database));
    TRY(read_text(u, "password_file", &t->password_file));
    if (t->password && t->password_file)
        return err_set(ERR_INVALID, "both a password and a password_file");
    return OK;
}

static enum err read_tls(const struct url *u, struct my_target *t)
{
    static const char *const names[] = {"tls_ca", "tls_cert", "tls_key", "tls_verify"};
    static const char *const yes_no[] = {"yes", "no", NULL};
    unsigned no = 0;
    t->tls = str_eq_c(u->scheme, "mysql+tls");
    for (size_t i = 0; !t->tls && i < sizeof(names) / sizeof(*names); i++)
        if (url_get(u, names[i]).p)
            return err_set(ERR_INVALID, "%s is of mysql+tls://, not of mysql://", names[i]);
    TRY(read_text(u, "tls_ca", &t->ca));
    TRY(read_text(u, "tls_cert", &t->cert));
    TRY(read_text(u, "tls_key", &t->key));
    TRY(url_choice(u, "tls_verify", yes_no, &no));
    t->trust_anyone = no;
    if (!t->cert != !t->key)
        return err_set(ERR_INVALID, "tls_cert and tls_key are wanted together");
    return OK;
}

static enum err read_timeout(const struct url *u, struct my_target *t)
{
    struct str v = url_get(u, "connect_timeout");
    uint64_t seconds = CONNECT_S;
    if (v.p && (!str_to_u64(v, &seconds) || !seconds || seconds > CONNECT_S_MAX))
        return err_set(ERR_INVALID, "connect_timeout: seconds are wanted, 1 to %d", CONNECT_S_MAX);
    t->connect_s = (unsigned)seconds;
    return OK;
}

enum err my_target_read(struct str url, struct arena *a, struct my_target *ret)
{
    static const char *const known[] = {"password_file", "socket",  "connect_timeout", "tls_ca",
                                        "tls_cert",      "tls_key", "tls_verify",      NULL};
    const struct libmariadb *my;
    struct my_target t = {0};
    struct url u, names;
    if (url.n > URL_BYTES_MAX)
        return err_set(ERR_LIMIT, "a URL of %zu bytes", url.n);
    TRY(libmariadb_load(&my));
    TRY(check_user(url));
    TRY(url_parse(url, a, &u));
    names = u;
    names.others = (struct str){0};
    TRY(url_check_params(&names, known));
    TRY(read_names(&u, &t));
    TRY(read_tls(&u, &t));
    TRY(read_timeout(&u, &t));
    TRY(read_text(&u, "socket", &t.socket));
    if (t.socket && (u.host.n || u.others.n))
        return err_set(ERR_INVALID, "both a host and a socket");
    if (t.socket)
        t.n_places = 1;
    else
        TRY(read_places(&u, a, &t));
    t.plain = sql_url_plain(url, a).p;
    *ret = t;
    return OK;
}

enum err sql_check_mysql(struct str url)
{
    struct arena a;
    struct my_target t;
    arena_init(&a, 0, NULL);
    enum err err = my_target_read(url, &a, &t);
    arena_release(&a);
    return err;
}
