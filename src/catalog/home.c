/* Which catalog a data folder belongs to.
 *
 * A catalog has an identity, its setting "store". A folder whose catalog is not its own catalog.db
 * remembers that identity in DATA/catalog.id:
 *
 *   IDENTITY, 32 hexadecimal digits, and a newline
 *   the URL without user and parameters, for whoever reads it, and a newline
 *
 * A start with another catalog would find none of the folder's segments there, and set them aside.
 * It is refused; but for a copy (weir catalog copy), which has the identity of what it was made
 * from. A catalog.db that was lost has nothing that remembers it: there the store decides. */
#include "catalog/catalog.h"

#include "catalog/sql.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"

#include <inttypes.h>
#include <stdio.h>

enum { IDENTITY_DIGITS = 32, FILE_BYTES_MAX = 8192 };

enum err catalog_identity(struct catalog *c, struct arena *a, struct str *ret)
{
    char text[IDENTITY_DIGITS + 1];
    snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, random_u64(), random_u64());
    return catalog_meta_once(c, STR("store"), str_of(text, IDENTITY_DIGITS), a, ret);
}

struct home {
    struct arena arena;
    const char *data;
    bool own;          /* the URL means the folder's own catalog.db */
    bool has_own;      /* which is there */
    bool shares_own;   /* the URL means it, too, shared */
    char *path;        /* of catalog.id */
    struct str was;    /* what it says; empty: there is none */
    struct str was_at; /* the URL */
};

static enum err read_home(struct home *h)
{
    struct buf text;
    if (!io_exists(h->path))
        return OK;
    TRY(io_read_file(h->path, FILE_BYTES_MAX, &text));
    struct str rest = arena_str(&h->arena, buf_str(&text));
    buf_release(&text);
    if (!str_split(&rest, '\n', &h->was) || h->was.n != IDENTITY_DIGITS ||
        !str_split(&rest, '\n', &h->was_at))
        return err_set(ERR_CORRUPT,
                       "%s cannot be read. It says which catalog the folder belongs to; remove it "
                       "when you are sure",
                       h->path);
    return OK;
}

static enum err refuse_foreign(const struct home *h, struct str plain)
{
    if (h->was.n)
        return err_set(ERR_CONFLICT,
                       "the data folder %s belongs to the catalog %.*s, not to %.*s: start with "
                       "that one, or choose another folder with --data",
                       h->data, STR_ARG(h->was_at), STR_ARG(plain));
    return err_set(ERR_CONFLICT,
                   "the data folder %s has a catalog of its own, of whose segments %.*s knows "
                   "nothing: copy it there (weir catalog copy --help), or choose another folder "
                   "with --data",
                   h->data, STR_ARG(plain));
}

/* The folder's own one may have been copied to where the server is started with now. */
static enum err read_own(struct home *h, struct str *ret)
{
    struct catalog *own;
    TRY(catalog_open(STR("sqlite:"), h->data, &own));
    enum err err = catalog_identity(own, &h->arena, ret);
    catalog_close(own);
    return err;
}

static enum err settle(struct home *h, struct catalog *c, struct str plain)
{
    struct str is, was = h->was;
    TRY(catalog_identity(c, &h->arena, &is));
    if (h->own)
        return str_eq(is, was) ? io_unlink(h->path) : refuse_foreign(h, plain);
    if (!was.n && h->has_own && !h->shares_own)
        TRY(read_own(h, &was));
    if (was.n && !str_eq(is, was))
        return refuse_foreign(h, plain);
    if (h->was.n)
        return OK;
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    buf_printf(&text, "%.*s\n%.*s\n", STR_ARG(is), STR_ARG(plain));
    enum err err = io_write_file(h->path, buf_str(&text));
    buf_release(&text);
    return err;
}

static enum err open_home(struct home *h, struct str url, struct catalog **ret)
{
    struct catalog *c;
    struct str plain = sql_url_plain(url, &h->arena);
    TRY(read_home(h));
    if (h->own && h->was.n && !h->has_own)
        return refuse_foreign(h, plain);
    TRY(catalog_open(url, h->data, &c));
    enum err err = h->own && !h->was.n ? OK : settle(h, c, plain);
    if (err != OK) {
        catalog_close(c);
        return err;
    }
    *ret = c;
    return OK;
}

enum err catalog_open_home(struct str url, const char *data, struct catalog **ret)
{
    struct home h = {.data = data};
    arena_init(&h.arena, 0, NULL);
    char *own = mem_printf("sqlite:%s/catalog.db", data);
    h.own = str_eq_c(url, "sqlite:") || str_eq_c(url, own);
    h.shares_own = str_starts(url, str_c(own)) && url.n > strlen(own) && url.p[strlen(own)] == '?';
    h.has_own = io_exists(own + STR("sqlite:").n);
    h.path = mem_printf("%s/catalog.id", data);
    enum err err = open_home(&h, url, ret);
    mem_free(h.path);
    mem_free(own);
    arena_release(&h.arena);
    return err;
}
