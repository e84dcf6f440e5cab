#include "output/peer.h"

#include "core/clock.h"
#include "core/mem.h"

enum err peer_switch(const struct url *url, const char *name, bool def, bool *ret)
{
    struct str v = url_get(url, name);
    bool yes = str_eq_c(v, "yes") || str_eq_c(v, "true"),
         no = str_eq_c(v, "no") || str_eq_c(v, "false");
    if (v.p && !yes && !no)
        return err_set(ERR_INVALID, "%s=%.*s: yes or no is wanted", name, STR_ARG(v));
    *ret = v.p ? yes : def;
    return OK;
}

enum err peer_read(const struct url *url, unsigned default_port, struct peer *ret)
{
    struct str timeout = url_get(url, "timeout");
    struct peer p = {.host = url->host,
                     .port = url->has_port ? url->port : default_port,
                     .timeout_ms = PEER_TIMEOUT_MS,
                     .tls = {.ca = url_get(url, "tls_ca"),
                             .cert = url_get(url, "tls_cert"),
                             .key = url_get(url, "tls_key")}};
    int64_t ns;
    bool verify;
    if (!url->host.n)
        return err_set(ERR_INVALID, "%.*s://HOST:PORT is wanted", STR_ARG(url->scheme));
    TRY(peer_switch(url, "tls_verify", true, &verify));
    p.tls.trust_anyone = !verify;
    if (timeout.p) {
        if (!str_to_duration_ns(timeout, &ns) || ns < NS_PER_MS)
            return err_set(ERR_INVALID, "timeout=%.*s: a duration is wanted, such as 30s",
                           STR_ARG(timeout));
        p.timeout_ms = ns / NS_PER_MS;
    }
    *ret = p;
    return OK;
}

void peer_secure(const struct peer *p, struct http_client *c)
{
    const struct tls_client_options *o = &p->tls;
    char *ca = o->ca.n ? mem_strdup(o->ca) : NULL, *cert = o->cert.n ? mem_strdup(o->cert) : NULL,
         *key = o->key.n ? mem_strdup(o->key) : NULL;
    http_client_tls(c, ca, cert, key, o->trust_anyone);
    mem_free(ca);
    mem_free(cert);
    mem_free(key);
}

void peer_put_host(struct str host, struct buf *out)
{
    bool v6 = str_find_byte(host, ':', 0) < host.n;
    if (v6)
        buf_put_byte(out, '[');
    buf_put_str(out, host);
    if (v6)
        buf_put_byte(out, ']');
}
