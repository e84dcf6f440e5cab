/* Redis and Valkey by hiredis: one connection behind a lock, made when first needed and anew after
 * an error. Keys and values are sent as they are. */
#include "cache/cache_impl.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#include <hiredis.h>
#include <pthread.h>

enum { PORT = 6379, TIMEOUT_MS = 1000 };
#define REST_NS (5 * NS_PER_S)

struct redis_cache {
    struct cache base;
    pthread_mutex_t lock;
    char *host, *user, *password;
    int port;
    int64_t database;
    redisContext *connection;
    int64_t rest_until_ns; /* after an error */
};

static void give_up(struct redis_cache *r, const char *why)
{
    log_warn("the cache is not to be had, requests go without it", "host=%s port=%d error=%s",
             r->host, r->port, why);
    r->base.errors++;
    if (r->connection)
        redisFree(r->connection);
    r->connection = NULL;
    r->rest_until_ns = clock_mono_ns() + REST_NS;
}

/* NULL: no answer. An error's answer is one. */
static redisReply *ask(struct redis_cache *r, int n, const char **arg, const size_t *size)
{
    redisReply *reply = redisCommandArgv(r->connection, n, arg, size);
    if (!reply)
        give_up(r, r->connection->errstr);
    return reply;
}

static bool is_good(struct redis_cache *r, redisReply *reply)
{
    if (!reply)
        return false;
    bool good = reply->type != REDIS_REPLY_ERROR;
    if (!good)
        give_up(r, reply->str);
    freeReplyObject(reply);
    return good;
}

static bool log_in(struct redis_cache *r)
{
    const char *auth[3] = {"AUTH"};
    char number[24];
    int n = 1;
    if (r->user)
        auth[n++] = r->user;
    if (r->password) {
        auth[n++] = r->password;
        if (!is_good(r, ask(r, n, auth, NULL)))
            return false;
    }
    if (!r->database)
        return true;
    snprintf(number, sizeof(number), "%lld", (long long)r->database);
    const char *choose[] = {"SELECT", number};
    return is_good(r, ask(r, 2, choose, NULL));
}

static bool connect_now(struct redis_cache *r)
{
    const struct timeval timeout = {TIMEOUT_MS / 1000, TIMEOUT_MS % 1000 * 1000};
    if (r->connection)
        return true;
    if (clock_mono_ns() < r->rest_until_ns)
        return false;
    r->connection = redisConnectWithTimeout(r->host, r->port, timeout);
    if (!r->connection || r->connection->err) {
        give_up(r, r->connection ? r->connection->errstr : "no memory");
        return false;
    }
    redisSetTimeout(r->connection, timeout);
    return log_in(r);
}

static bool redis_get(struct cache *base, struct str key, struct buf *ret)
{
    struct redis_cache *r = (struct redis_cache *)base;
    const char *arg[] = {"GET", key.p};
    const size_t size[] = {3, key.n};
    bool hit = false;
    pthread_mutex_lock(&r->lock);
    redisReply *reply = connect_now(r) ? ask(r, 2, arg, size) : NULL;
    if (reply && reply->type == REDIS_REPLY_STRING && (size_t)reply->len <= CACHE_VALUE_MAX)
        hit = buf_add(ret, reply->str, (size_t)reply->len) == OK;
    if (reply && reply->type == REDIS_REPLY_ERROR)
        give_up(r, reply->str);
    if (reply)
        freeReplyObject(reply);
    pthread_mutex_unlock(&r->lock);
    return hit;
}

static void redis_put(struct cache *base, struct str key, struct str value, int64_t seconds)
{
    struct redis_cache *r = (struct redis_cache *)base;
    char ttl[24];
    int n = snprintf(ttl, sizeof(ttl), "%lld", (long long)seconds);
    const char *arg[] = {"SET", key.p, value.n ? value.p : "", "EX", ttl};
    const size_t size[] = {3, key.n, value.n, 2, (size_t)n};
    pthread_mutex_lock(&r->lock);
    if (connect_now(r) && is_good(r, ask(r, 5, arg, size)))
        r->rest_until_ns = 0;
    pthread_mutex_unlock(&r->lock);
}

static void redis_close(struct cache *base)
{
    struct redis_cache *r = (struct redis_cache *)base;
    if (r->connection)
        redisFree(r->connection);
    pthread_mutex_destroy(&r->lock);
    mem_free(r->host);
    mem_free(r->user);
    mem_free(r->password);
    mem_free(r);
}

static const struct cache_driver driver = {redis_get, redis_put, redis_close};

enum err cache_open_redis(const struct url *url, struct cache **ret)
{
    static const char *const known[] = {NULL};
    int64_t database = 0;
    TRY(url_check_params(url, known));
    if (!url->host.n)
        return err_set(ERR_INVALID, "a cache without a host: redis://HOST:PORT is wanted");
    if (url->path.n > 1 && (!str_to_i64(str_from(url->path, 1), &database) || database < 0))
        return err_set(ERR_INVALID, "a cache's path is the number of its database: redis://HOST/0");
    struct redis_cache *r = NEW(struct redis_cache);
    r->base.driver = &driver;
    pthread_mutex_init(&r->lock, NULL);
    r->host = mem_strdup(url->host);
    r->port = url->has_port ? url->port : PORT;
    r->database = database;
    r->user = url->user.n ? mem_strdup(url->user) : NULL;
    r->password = url->password.n ? mem_strdup(url->password) : NULL;
    *ret = &r->base;
    return OK;
}
