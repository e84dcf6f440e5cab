#include "output/forward_wire.h"

#include "core/clock.h"
#include "wire/forward.h"
#include "wire/msgpack.h"

#include <openssl/crypto.h>

/* ---- entries ---- */

void forward_put_time(int64_t ns, struct buf *out)
{
    int64_t s = ns / NS_PER_S - (ns % NS_PER_S < 0);
    uint32_t part[2] = {(uint32_t)s, (uint32_t)(ns - s * NS_PER_S)};
    char bytes[8];
    msgpack_put_array(out, 2);
    if (s < 0 || s > UINT32_MAX) { /* whole numbers below zero mean something else to Fluent Bit */
        msgpack_put_double(out, (double)ns / 1e9);
        return;
    }
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(part[i / 4] >> (24 - i % 4 * 8));
    msgpack_put_ext(out, 0, str_of(bytes, sizeof(bytes)));
}

void forward_put_message(const struct forward_message *m, struct buf *out)
{
    msgpack_put_array(out, 3);
    msgpack_put_str(out, m->tag);
    msgpack_put_bin(out, m->entries);
    msgpack_put_map(out, 1 + (m->chunk.n > 0) + m->gzip);
    msgpack_put_str(out, STR("size"));
    msgpack_put_int(out, m->records);
    if (m->chunk.n) {
        msgpack_put_str(out, STR("chunk"));
        msgpack_put_str(out, m->chunk);
    }
    if (m->gzip) {
        msgpack_put_str(out, STR("compressed"));
        msgpack_put_str(out, STR("gzip"));
    }
}

/* ---- replies ---- */

static bool is_text(const struct msgpack *m)
{
    return m->kind == MSGPACK_STR || m->kind == MSGPACK_BIN;
}

/* A map of texts: its values of the names, where it has them. What else it holds is passed. */
static bool read_map(struct reader *r, uint32_t n, const char *const *name, struct str *value)
{
    struct msgpack key, m;
    for (uint32_t i = 0; i < n; i++) {
        struct reader at;
        if (!msgpack_read(r, &key) || !is_text(&key))
            return false;
        at = *r;
        if (!msgpack_skip(r, 1))
            return false;
        for (unsigned k = 0; name[k]; k++)
            if (str_eq_c(key.bytes, name[k]) && msgpack_read(&at, &m) && is_text(&m))
                value[k] = m.bytes;
    }
    return true;
}

static bool read_pong(struct reader *r, struct forward_reply *ret)
{
    struct str *const text[] = {&ret->reason, &ret->host, &ret->digest};
    struct msgpack m;
    if (!msgpack_read(r, &m) || m.kind != MSGPACK_BOOL)
        return false;
    ret->kind = FORWARD_PONG;
    ret->ok = m.b;
    for (int i = 0; i < 3; i++) {
        if (!msgpack_read(r, &m) || !is_text(&m))
            return false;
        *text[i] = m.bytes;
    }
    return true;
}

static bool read_list(struct reader *r, uint32_t n, struct forward_reply *ret)
{
    static const char *const options[] = {"nonce", "auth", NULL};
    struct str value[2] = {{0}};
    struct msgpack m;
    if (!msgpack_read(r, &m) || !is_text(&m))
        return false;
    if (str_eq_c(m.bytes, "PONG") && n == 5)
        return read_pong(r, ret);
    if (!str_eq_c(m.bytes, "HELO") || n != 2)
        return false;
    if (!msgpack_read(r, &m) || m.kind != MSGPACK_MAP || !read_map(r, m.n, options, value))
        return false;
    ret->kind = FORWARD_HELO;
    ret->nonce = value[0];
    ret->auth = value[1];
    return true;
}

static bool read_ack(struct reader *r, uint32_t n, struct forward_reply *ret)
{
    static const char *const names[] = {"ack", NULL};
    ret->kind = FORWARD_ACK;
    return read_map(r, n, names, &ret->ack) && ret->ack.n;
}

enum err forward_reply_read(struct str in, size_t *ret_n, struct forward_reply *ret)
{
    struct msgpack_scan scan = {.left = 1};
    struct reader r;
    struct msgpack m;
    *ret_n = 0;
    *ret = (struct forward_reply){0};
    enum msgpack_found found = msgpack_scan(&scan, in);
    if (found == MSGPACK_MORE && in.n < FORWARD_REPLY_MAX)
        return OK;
    if (found != MSGPACK_WHOLE)
        return err_set(ERR_INVALID, found == MSGPACK_MORE ? "the peer's answer is too long"
                                                          : "the peer's answer is no MessagePack");
    r = reader_of(str_of(in.p, scan.at));
    bool good = msgpack_read(&r, &m) && (m.kind == MSGPACK_MAP     ? read_ack(&r, m.n, ret)
                                         : m.kind == MSGPACK_ARRAY ? read_list(&r, m.n, ret)
                                                                   : false);
    if (!good)
        return err_set(ERR_INVALID, "the peer's answer is none of the forward protocol");
    *ret_n = scan.at;
    return OK;
}

/* ---- the handshake ---- */

void forward_put_ping(const struct forward_key *k, const struct forward_reply *helo,
                      struct str salt, struct buf *out)
{
    char key[FORWARD_DIGEST_BYTES], password[FORWARD_DIGEST_BYTES];
    const struct str key_part[] = {salt, k->host, helo->nonce, k->key},
                     password_part[] = {helo->auth, k->user, k->password};
    bool asked = helo->auth.n > 0;
    forward_digest(key_part, 4, key);
    forward_digest(password_part, 3, password);
    msgpack_put_array(out, 6);
    msgpack_put_str(out, STR("PING"));
    msgpack_put_str(out, k->host);
    msgpack_put_bin(out, salt);
    msgpack_put_str(out, str_of(key, sizeof(key)));
    msgpack_put_str(out, asked ? k->user : STR(""));
    msgpack_put_str(out, str_of(password, asked ? sizeof(password) : 0));
}

bool forward_is_proof(const struct forward_key *k, struct str nonce, struct str salt,
                      const struct forward_reply *pong)
{
    char hex[FORWARD_DIGEST_BYTES];
    const struct str part[] = {salt, pong->host, nonce, k->key};
    forward_digest(part, 4, hex);
    return pong->digest.n == sizeof(hex) && CRYPTO_memcmp(pong->digest.p, hex, sizeof(hex)) == 0;
}
