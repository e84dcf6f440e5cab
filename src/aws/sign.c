/* The signature, step by step:
 *
 *   canonical request = METHOD \n path \n sorted query \n sorted "name:value\n" headers \n
 *                       "names;of;them" \n hex(sha256(body))
 *   string to sign    = "AWS4-HMAC-SHA256" \n date \n scope \n hex(sha256(canonical request))
 *   scope             = YYYYMMDD/region/service/aws4_request
 *   key               = HMAC(HMAC(HMAC(HMAC("AWS4" + secret, day), region), service),
 *                            "aws4_request")
 *   signature         = hex(HMAC(key, string to sign))
 *
 * The path in it is encoded once more than on the wire, but for S3. */
#include "aws/sign.h"

#include "core/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SHA_BYTES = 32, TEXT_MAX = 1 << 20 };

static void wipe(char **text)
{
    if (*text)
        OPENSSL_cleanse(*text, strlen(*text));
    mem_free(*text);
    *text = NULL;
}

void aws_keys_release(struct aws_keys *k)
{
    wipe(&k->access);
    wipe(&k->secret);
    wipe(&k->token);
    k->expires_ns = 0;
}

void aws_keys_copy(const struct aws_keys *from, struct aws_keys *ret)
{
    *ret = (struct aws_keys){
        .access = from->access ? mem_strdup(str_c(from->access)) : NULL,
        .secret = from->secret ? mem_strdup(str_c(from->secret)) : NULL,
        .token = from->token ? mem_strdup(str_c(from->token)) : NULL,
        .expires_ns = from->expires_ns,
    };
}

void aws_encode(struct buf *out, struct str s, bool slash)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char b = (unsigned char)s.p[i];
        bool plain = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                     b == '-' || b == '_' || b == '.' || b == '~' || (b == '/' && !slash);
        if (plain) {
            buf_put_byte(out, (char)b);
        } else {
            buf_put_byte(out, '%');
            buf_put_byte(out, digits[b >> 4]);
            buf_put_byte(out, digits[b & 15]);
        }
    }
}

static void to_hex(const unsigned char *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + i * 2, 3, "%02x", p[i]);
}

void aws_sha256_hex(struct str s, char out[65])
{
    unsigned char digest[SHA_BYTES];
    CHECK(EVP_Digest(s.n ? s.p : "", s.n, digest, NULL, EVP_sha256(), NULL) == 1);
    to_hex(digest, sizeof(digest), out);
}

static void hmac(const void *key, size_t key_n, struct str text, unsigned char out[SHA_BYTES])
{
    unsigned n = SHA_BYTES;
    CHECK(HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)text.p, text.n, out, &n));
}

/* ---- the canonical request ---- */

struct pair {
    struct str name, value;
};

static int pair_order(const void *va, const void *vb)
{
    const struct pair *a = va, *b = vb;
    int order = str_cmp(a->name, b->name);
    return order ? order : str_cmp(a->value, b->value);
}

static enum err put_query(struct buf *out, struct str query)
{
    struct pair list[AWS_PARAMS_MAX];
    struct str part;
    unsigned n = 0;
    while (query.n && str_split(&query, '&', &part)) {
        size_t eq = str_find_byte(part, '=', 0);
        if (n == AWS_PARAMS_MAX)
            return err_set(ERR_LIMIT, "a request with more than %d parameters", AWS_PARAMS_MAX);
        list[n++] = (struct pair){str_of(part.p, eq), str_from(part, eq + 1)};
    }
    qsort(list, n, sizeof(*list), pair_order);
    for (unsigned i = 0; i < n; i++) {
        if (i)
            buf_put_byte(out, '&');
        buf_put_str(out, list[i].name);
        buf_put_byte(out, '=');
        buf_put_str(out, list[i].value);
    }
    buf_put_byte(out, '\n');
    return OK;
}

/* Sorted headers, then their names. */
static void put_headers(struct buf *out, struct buf *names, struct pair *list, unsigned n)
{
    qsort(list, n, sizeof(*list), pair_order);
    for (unsigned i = 0; i < n; i++) {
        struct str value = str_trim(list[i].value);
        buf_put_str(out, list[i].name);
        buf_put_byte(out, ':');
        for (size_t j = 0; j < value.n; j++) /* runs of blanks count as one */
            if (value.p[j] != ' ' || value.p[j - 1] != ' ')
                buf_put_byte(out, value.p[j]);
        buf_put_byte(out, '\n');
        if (i)
            buf_put_byte(names, ';');
        buf_put_str(names, list[i].name);
    }
    buf_put_byte(out, '\n');
    buf_put_str(out, buf_str(names));
    buf_put_byte(out, '\n');
}

static enum err put_request(const struct aws_keys *k, const struct aws_signing *s,
                            const struct aws_signature *sig, struct buf *out, struct buf *names)
{
    struct pair list[AWS_HEADERS_MAX + 4];
    unsigned n = 0;
    if (s->n_headers > AWS_HEADERS_MAX)
        return err_set(ERR_LIMIT, "a request with more than %d headers", AWS_HEADERS_MAX);
    list[n++] = (struct pair){STR("host"), s->host};
    list[n++] = (struct pair){STR("x-amz-date"), str_c(sig->date)};
    if (k->token)
        list[n++] = (struct pair){STR("x-amz-security-token"), str_c(k->token)};
    if (s->s3)
        list[n++] = (struct pair){STR("x-amz-content-sha256"), str_c(sig->payload)};
    for (unsigned i = 0; i < s->n_headers; i++)
        list[n++] = (struct pair){s->header[i].name, s->header[i].value};
    buf_printf(out, "%s\n", s->method);
    if (s->s3)
        buf_put_str(out, s->path);
    else
        aws_encode(out, s->path, false);
    buf_put_byte(out, '\n');
    TRY(put_query(out, s->query));
    put_headers(out, names, list, n);
    buf_put_c(out, sig->payload);
    return OK;
}

/* ---- the signature ---- */

static void sign_text(const struct aws_keys *k, const struct aws_signing *s, struct str day,
                      struct str text, char out[65])
{
    unsigned char key[SHA_BYTES];
    char *first = mem_printf("AWS4%s", k->secret);
    hmac(first, strlen(first), day, key);
    wipe(&first);
    hmac(key, sizeof(key), str_c(s->region), key);
    hmac(key, sizeof(key), str_c(s->service), key);
    hmac(key, sizeof(key), STR("aws4_request"), key);
    hmac(key, sizeof(key), text, key);
    to_hex(key, sizeof(key), out);
    OPENSSL_cleanse(key, sizeof(key));
}

enum err aws_sign(const struct aws_keys *k, const struct aws_signing *s, struct aws_signature *ret)
{
    struct buf request, names, text;
    struct tm tm;
    time_t at = (time_t)s->time_s;
    char hash[65], signature[65], scope[200];
    buf_init(&ret->headers, TEXT_MAX);
    buf_init(&request, TEXT_MAX);
    buf_init(&names, TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    CHECK(gmtime_r(&at, &tm));
    strftime(ret->date, sizeof(ret->date), "%Y%m%dT%H%M%SZ", &tm);
    if (s->unsigned_payload)
        snprintf(ret->payload, sizeof(ret->payload), "UNSIGNED-PAYLOAD");
    else if (s->sha256)
        snprintf(ret->payload, sizeof(ret->payload), "%s", s->sha256);
    else
        aws_sha256_hex(s->body, ret->payload);
    enum err err = put_request(k, s, ret, &request, &names);
    if (err == OK) {
        snprintf(scope, sizeof(scope), "%.8s/%s/%s/aws4_request", ret->date, s->region, s->service);
        aws_sha256_hex(buf_str(&request), hash);
        buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", ret->date, scope, hash);
        sign_text(k, s, str_of(ret->date, 8), buf_str(&text), signature);
        buf_printf(&ret->headers,
                   "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%.*s, Signature=%s", k->access,
                   scope, STR_ARG(buf_str(&names)), signature);
        buf_put_byte(&ret->headers, '\0');
        ret->headers.n--;
    }
    buf_release(&request);
    buf_release(&names);
    buf_release(&text);
    return err;
}
