#include "net/tls.h"

#include "core/mem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

struct tls_server {
    SSL_CTX *ctx;
};
struct tls_client {
    SSL_CTX *ctx;
};
struct tls {
    SSL *ssl;
    enum tls_want want;
};

static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    return text ? text : "no reason is given";
}

static enum err bad_file(const char *what, const char *path)
{
    return err_set(ERR_INVALID, "TLS: %s %s cannot be used: %s", what, path, reason());
}

/* Own chain and key, where there are any, and authorities in a file, which a server also names to
 * its clients. */
static enum err load(SSL_CTX *ctx, struct str cert_path, struct str key_path, struct str ca_path)
{
    char *cert = mem_strdup(cert_path), *key = mem_strdup(key_path.n ? key_path : cert_path),
         *ca = mem_strdup(ca_path);
    enum err err = OK;
    ERR_clear_error();
    if (*cert && SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        err = bad_file("certificate", cert);
    else if (*cert && SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        err = bad_file("key", key);
    else if (*ca && SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
        err = bad_file("CA", ca);
    else if (*ca)
        SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(ca));
    mem_free(cert);
    mem_free(key);
    mem_free(ca);
    return err;
}

static void set_up(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    /* A peer that hangs up without a goodbye has ended its stream: framing tells what is whole. */
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
}

/* Clients that offer the protocol get it; others go on without one. */
static int select_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                           const unsigned char *offered, unsigned n, void *arg)
{
    const char *wanted = arg;
    for (unsigned at = 0; at < n && at + 1 + offered[at] <= n; at += 1u + offered[at])
        if (str_eq_c(str_of((const char *)offered + at + 1, offered[at]), wanted)) {
            *ret = offered + at + 1;
            *ret_n = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_NOACK;
}

enum err tls_server_new(const struct tls_options *o, struct tls_server **ret)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return err_set(ERR_NOMEM, "TLS: %s", reason());
    set_up(ctx);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"weir", 4);
    enum err err = o->cert.n ? load(ctx, o->cert, o->key, o->ca)
                             : err_set(ERR_INVALID, "TLS: a server wants a certificate");
    if (err != OK) {
        SSL_CTX_free(ctx);
        return err;
    }
    if (o->ca.n)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (o->alpn)
        SSL_CTX_set_alpn_select_cb(ctx, select_protocol, (void *)(uintptr_t)o->alpn);
    struct tls_server *s = NEW(struct tls_server);
    s->ctx = ctx;
    *ret = s;
    return OK;
}

void tls_server_free(struct tls_server *s)
{
    if (!s)
        return;
    SSL_CTX_free(s->ctx);
    mem_free(s);
}

enum err tls_open(struct tls_server *s, int fd, struct tls **ret)
{
    SSL *ssl = SSL_new(s->ctx);
    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return err_set(ERR_NOMEM, "TLS: %s", reason());
    }
    SSL_set_accept_state(ssl);
    struct tls *t = NEW(struct tls);
    t->ssl = ssl;
    *ret = t;
    return OK;
}

enum err tls_client_new(const struct tls_client_options *o, struct tls_client **ret)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return err_set(ERR_NOMEM, "TLS: %s", reason());
    set_up(ctx);
    SSL_CTX_set_verify(ctx, o->trust_anyone ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    enum err err = load(ctx, o->cert, o->key, o->ca);
    if (err == OK && !o->ca.n && SSL_CTX_set_default_verify_paths(ctx) != 1)
        err = err_set(ERR_INVALID, "TLS: the system's authorities cannot be read: %s", reason());
    if (err != OK) {
        SSL_CTX_free(ctx);
        return err;
    }
    struct tls_client *c = NEW(struct tls_client);
    c->ctx = ctx;
    *ret = c;
    return OK;
}

void tls_client_free(struct tls_client *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    mem_free(c);
}

/* An address is looked for among the certificate's addresses, and not sent as a name. */
static bool set_name(SSL *ssl, const char *host)
{
    struct in6_addr address;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum err tls_connect(struct tls_client *c, int fd, struct str host, struct tls **ret)
{
    SSL *ssl = SSL_new(c->ctx);
    char *name = mem_strdup(host);
    bool good = ssl && SSL_set_fd(ssl, fd) == 1 && set_name(ssl, name);
    mem_free(name);
    if (!good) {
        SSL_free(ssl);
        return err_set(ERR_NOMEM, "TLS: %s", reason());
    }
    SSL_set_connect_state(ssl);
    struct tls *t = NEW(struct tls);
    t->ssl = ssl;
    *ret = t;
    return OK;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    mem_free(t);
}

static enum err judge(struct tls *t, int result, const char *what)
{
    int kind = SSL_get_error(t->ssl, result);
    t->want = TLS_NOTHING;
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        t->want = kind == SSL_ERROR_WANT_READ ? TLS_READ : TLS_WRITE;
        return ERR_AGAIN;
    }
    if (kind == SSL_ERROR_ZERO_RETURN)
        return ERR_EOF;
    if (kind == SSL_ERROR_SYSCALL && !ERR_peek_error())
        return err_set_errno("TLS %s", what);
    return err_set(ERR_IO, "TLS %s: %s", what, reason());
}

enum err tls_handshake(struct tls *t)
{
    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    return result == 1 ? OK : judge(t, result, "handshake");
}

enum err tls_read(struct tls *t, char *p, size_t n, size_t *ret_n)
{
    ERR_clear_error();
    int result = SSL_read_ex(t->ssl, p, n, ret_n);
    return result == 1 ? OK : judge(t, result, "read");
}

enum err tls_write(struct tls *t, const char *p, size_t n, size_t *ret_n)
{
    ERR_clear_error();
    int result = SSL_write_ex(t->ssl, p, n, ret_n);
    return result == 1 ? OK : judge(t, result, "write");
}

enum tls_want tls_wants(const struct tls *t)
{
    return t->want;
}

bool tls_pending(const struct tls *t)
{
    return SSL_has_pending(t->ssl) == 1;
}

void tls_bye(struct tls *t)
{
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
}
