#include "cache/cache_impl.h"

#include "core/mem.h"

/* ---- none: ---- */

static bool none_get(struct cache *c, struct str key, struct buf *ret)
{
    return false;
}

static void none_put(struct cache *c, struct str key, struct str value, int64_t seconds)
{
}

static void none_close(struct cache *c)
{
    mem_free(c);
}

static const struct cache_driver none = {none_get, none_put, none_close};

/* ---- any ---- */

enum err cache_open(struct str text, struct cache **ret)
{
    struct arena arena;
    struct url url;
    if (str_eq_c(text, "memory:")) {
        *ret = cache_open_memory();
        return OK;
    }
    if (str_eq_c(text, "none:")) {
        *ret = NEW(struct cache);
        (*ret)->driver = &none;
        return OK;
    }
    arena_init(&arena, 0, NULL);
    enum err err = url_parse(text, &arena, &url);
    if (err == OK && !str_eq_c(url.scheme, "redis") && !str_eq_c(url.scheme, "valkey"))
        err = err_set(ERR_INVALID,
                      "no cache has the scheme %.*s://; there are memory:, none:, redis://, "
                      "valkey://",
                      STR_ARG(url.scheme));
    else if (err == OK)
        err = cache_open_redis(&url, ret);
    arena_release(&arena);
    return err;
}

void cache_close(struct cache *c)
{
    if (c)
        c->driver->close(c);
}

bool cache_get(struct cache *c, struct str key, struct buf *ret)
{
    bool hit = c->driver->get(c, key, ret);
    if (hit)
        c->hits++;
    else
        c->misses++;
    return hit;
}

void cache_put(struct cache *c, struct str key, struct str value, int64_t seconds)
{
    if (value.n <= CACHE_VALUE_MAX && seconds > 0)
        c->driver->put(c, key, value, seconds);
}

void cache_stats(struct cache *c, struct cache_stats *ret)
{
    *ret = (struct cache_stats){c->hits, c->misses, c->errors};
}
