/* The chain. Each source answers OK with keys, ERR_NOTFOUND when it is not configured (the next is
 * asked), or another error, which ends the search: who configured a source does not want the
 * machine's keys in its place.
 *
 * Sources and what they read: the developer guides "Credential providers" of the AWS SDKs and Tools
 * Reference; STS's API reference; "Use the Instance Metadata Service" of the EC2 User Guide. */
#include "aws/credentials.h"

#include "aws/credentials_impl.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "record/timestamp.h"

#include <ctype.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define REFRESH_NS (5 * 60 * NS_PER_S) /* before they expire */
#define STALE_NS (30 * NS_PER_S)       /* too short a life to sign with */
#define RETRY_NS (30 * NS_PER_S)       /* between tries while those at hand are good */
enum { FILE_MAX = 64 << 10, ANSWER_MAX = 256 << 10, ROLES_MAX = 5 };

struct aws_credentials {
    struct arena arena;
    struct profiles profiles;
    const char *region;
    pthread_mutex_t lock;
    struct aws_keys keys;
    bool have;
    int64_t tried_ns; /* the last try for better ones than those at hand */
    const char *source;
};

const char *aws_env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* ---- environment and files ---- */

static enum err set_keys(struct str access, struct str secret, struct str token,
                         const char *expires, struct aws_keys *ret)
{
    struct time_form form;
    int64_t at = 0;
    if (!access.n || !secret.n)
        return err_set(ERR_AUTH, "keys without %s", access.n ? "a secret" : "an access key id");
    if (expires && !time_parse(str_c(expires), clock_now_ns(), &form, &at))
        return err_set(ERR_AUTH, "keys with a bad time of expiry");
    *ret = (struct aws_keys){.access = mem_strdup(access),
                             .secret = mem_strdup(secret),
                             .token = token.n ? mem_strdup(token) : NULL,
                             .expires_ns = at};
    return OK;
}

static enum err from_environment(struct aws_credentials *c, struct aws_keys *ret)
{
    const char *access = aws_env("AWS_ACCESS_KEY_ID");
    if (!access)
        return ERR_NOTFOUND;
    return set_keys(str_c(access), str_c(aws_env("AWS_SECRET_ACCESS_KEY")),
                    str_c(aws_env("AWS_SESSION_TOKEN")), NULL, ret);
}

static enum err keys_of_profile(struct aws_credentials *c, const char *profile,
                                struct aws_keys *ret)
{
    const struct profiles *p = &c->profiles;
    struct str access = profiles_get(p, profile, "aws_access_key_id");
    if (!access.n)
        return ERR_NOTFOUND;
    return set_keys(access, profiles_get(p, profile, "aws_secret_access_key"),
                    profiles_get(p, profile, "aws_session_token"), NULL, ret);
}

/* ---- STS ---- */

enum err aws_read_sts(struct str xml, struct aws_keys *ret)
{
    char access[200], secret[400], expires[64], *token = mem_alloc(16384);
    enum err err = OK;
    if (!xml_find(xml, "AccessKeyId", access, sizeof(access)) ||
        !xml_find(xml, "SecretAccessKey", secret, sizeof(secret)) ||
        !xml_find(xml, "SessionToken", token, 16384) ||
        !xml_find(xml, "Expiration", expires, sizeof(expires)))
        err = err_set(ERR_AUTH, "STS's answer has no keys");
    else
        err = set_keys(str_c(access), str_c(secret), str_c(token), expires, ret);
    mem_free(token);
    return err;
}

static void put_param(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "&%s=", name);
    aws_encode(out, value, true);
}

static void put_session(struct buf *out, struct str name)
{
    char made[64];
    snprintf(made, sizeof(made), "weir-%llx", (unsigned long long)random_u64());
    put_param(out, "RoleSessionName", name.n ? name : str_c(made));
}

/* signer NULL: the action needs none. */
static enum err ask_sts(struct aws_credentials *c, const struct aws_keys *signer, struct str form,
                        struct aws_keys *ret)
{
    struct buf endpoint;
    struct http_answer a = {0};
    char code[100];
    buf_init(&endpoint, 4096);
    buf_init(&a.body, ANSWER_MAX);
    enum err err = aws_endpoint(c, "sts", &endpoint);
    if (err == OK)
        err =
            aws_post_form(endpoint.p, signer, "sts", c->region ? c->region : "us-east-1", form, &a);
    if (err == OK && a.status != 200) {
        if (!xml_find(buf_str(&a.body), "Code", code, sizeof(code)))
            code[0] = '\0';
        err = err_set(a.status >= 500 ? ERR_UNAVAILABLE : ERR_AUTH, "STS answered %u %s", a.status,
                      code);
    }
    if (err == OK)
        err = aws_read_sts(buf_str(&a.body), ret);
    buf_release(&endpoint);
    buf_release(&a.body);
    return err;
}

static enum err web_identity(struct aws_credentials *c, const char *token_file, struct str role,
                             struct str session, struct aws_keys *ret)
{
    struct buf token, form;
    if (!role.n)
        return err_set(ERR_AUTH, "a web identity without a role (AWS_ROLE_ARN)");
    TRY(io_read_file(token_file, FILE_MAX, &token));
    buf_init(&form, 1 << 20);
    buf_put_c(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
    put_param(&form, "RoleArn", role);
    put_session(&form, session);
    put_param(&form, "WebIdentityToken", str_trim(buf_str(&token)));
    enum err err = ask_sts(c, NULL, buf_str(&form), ret);
    buf_release(&token);
    buf_release(&form);
    return err;
}

static enum err assume_role(struct aws_credentials *c, const struct aws_keys *signer,
                            const char *profile, struct aws_keys *ret)
{
    const struct profiles *p = &c->profiles;
    struct str external = profiles_get(p, profile, "external_id");
    struct buf form;
    buf_init(&form, 1 << 16);
    buf_put_c(&form, "Action=AssumeRole&Version=2011-06-15");
    put_param(&form, "RoleArn", profiles_get(p, profile, "role_arn"));
    put_session(&form, profiles_get(p, profile, "role_session_name"));
    if (external.n)
        put_param(&form, "ExternalId", external);
    enum err err = ask_sts(c, signer, buf_str(&form), ret);
    buf_release(&form);
    return err;
}

/* A profile's role, whose keys come from another profile (whose role ...), or from a source of this
 * chain by name; or its web identity; or its keys. */
static enum err from_chain(struct aws_credentials *c, const char *named, struct aws_keys *ret);

static enum err from_profile(struct aws_credentials *c, const char *profile, unsigned depth,
                             struct aws_keys *ret)
{
    const struct profiles *p = &c->profiles;
    struct str role = profiles_get(p, profile, "role_arn");
    struct str token = profiles_get(p, profile, "web_identity_token_file");
    struct str source = profiles_get(p, profile, "source_profile");
    struct str named = profiles_get(p, profile, "credential_source");
    struct aws_keys signer;
    if (!role.n)
        return keys_of_profile(c, profile, ret);
    if (depth == ROLES_MAX)
        return err_set(ERR_INVALID, "profile %s: more than %d roles behind each other", profile,
                       ROLES_MAX);
    if (token.n) {
        struct str path = arena_str(&c->arena, token);
        return web_identity(c, path.p, role, profiles_get(p, profile, "role_session_name"), ret);
    }
    enum err err;
    if (source.n && str_eq_c(source, profile))
        err = keys_of_profile(c, profile, &signer); /* a role on top of its own keys */
    else if (source.n)
        err = from_profile(c, arena_str(&c->arena, source).p, depth + 1, &signer);
    else
        err = from_chain(c, arena_str(&c->arena, named).p, &signer);
    if (err == ERR_NOTFOUND)
        return err_set(ERR_AUTH, "profile %s: no keys to take its role with", profile);
    TRY(err);
    err = assume_role(c, &signer, profile, ret);
    aws_keys_release(&signer);
    return err;
}

static enum err from_own_profile(struct aws_credentials *c, struct aws_keys *ret)
{
    return from_profile(c, c->profiles.profile, 0, ret);
}

static enum err from_web_identity(struct aws_credentials *c, struct aws_keys *ret)
{
    const char *file = aws_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    if (!file)
        return ERR_NOTFOUND;
    return web_identity(c, file, str_c(aws_env("AWS_ROLE_ARN")),
                        str_c(aws_env("AWS_ROLE_SESSION_NAME")), ret);
}

/* ---- container and instance ---- */

enum err aws_read_keys_json(struct str text, struct aws_keys *ret)
{
    json_t *answer = json_loadb(text.p ? text.p : "", text.n, 0, NULL);
    const char *access = json_string_value(json_object_get(answer, "AccessKeyId"));
    const char *secret = json_string_value(json_object_get(answer, "SecretAccessKey"));
    const char *token = json_string_value(json_object_get(answer, "Token"));
    const char *expires = json_string_value(json_object_get(answer, "Expiration"));
    enum err err = set_keys(str_c(access), str_c(secret), str_c(token), expires, ret);
    json_decref(answer);
    return err;
}

/* Hosts that the token may go to without TLS: this machine's, and those of ECS and EKS. */
static bool may_be_plain(struct str url)
{
    static const char *const hosts[] = {"http://127.",           "http://localhost",
                                        "http://[::1]",          "http://169.254.170.2",
                                        "http://169.254.170.23", "http://[fd00:ec2::23]"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        struct str host = str_c(hosts[i]);
        char next = url.n > host.n ? url.p[host.n] : '/';
        if (str_starts(url, host) && (i == 0 || next == '/' || next == ':'))
            return true;
    }
    return str_starts(url, STR("https://"));
}

static enum err from_container(struct aws_credentials *c, struct aws_keys *ret)
{
    const char *relative = aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *token_file = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct buf file, answer;
    if (!relative && !full)
        return ERR_NOTFOUND;
    char *url = relative ? mem_printf("http://169.254.170.2%s", relative) : mem_printf("%s", full);
    buf_init(&file, FILE_MAX);
    buf_init(&answer, ANSWER_MAX);
    enum err err = OK;
    if (!may_be_plain(str_c(url)))
        err =
            err_set(ERR_INVALID, "AWS_CONTAINER_CREDENTIALS_FULL_URI: only https, or this machine");
    if (err == OK && token_file)
        err = io_read_file(token_file, FILE_MAX, &file);
    if (err == OK && token_file) {
        struct str text = str_trim(buf_str(&file));
        file.n = (size_t)(text.p - file.p) + text.n;
        buf_put_byte(&file, '\0');
        token = text.p;
    }
    if (err == OK)
        err = aws_get_text("GET", url, "Authorization", token, &answer);
    if (err == OK)
        err = aws_read_keys_json(buf_str(&answer), ret);
    mem_free(url);
    buf_release(&file);
    buf_release(&answer);
    return err;
}

static enum err imds_get(const char *base, const char *path, const char *token, struct buf *answer)
{
    char *url = mem_printf("%s%s", base, path);
    enum err err = aws_get_text("GET", url, "X-aws-ec2-metadata-token", token, answer);
    mem_free(url);
    return err;
}

static enum err imds_keys(const char *base, const char *token, struct aws_keys *ret)
{
    static const char path[] = "/latest/meta-data/iam/security-credentials/";
    struct buf role, answer;
    buf_init(&role, 4096);
    buf_init(&answer, ANSWER_MAX);
    enum err err = imds_get(base, path, token, &role);
    if (err == OK) {
        struct str name = buf_str(&role);
        name = str_trim(str_of(name.p, str_find_byte(name, '\n', 0)));
        char *full = mem_printf("%s%.*s", path, STR_ARG(name));
        err = imds_get(base, full, token, &answer);
        mem_free(full);
    }
    if (err == OK)
        err = aws_read_keys_json(buf_str(&answer), ret);
    buf_release(&role);
    buf_release(&answer);
    return err;
}

static enum err from_instance(struct aws_credentials *c, struct aws_keys *ret)
{
    const char *off = aws_env("AWS_EC2_METADATA_DISABLED");
    const char *base = aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    struct buf token;
    if (off && str_ieq(str_c(off), STR("true")))
        return ERR_NOTFOUND;
    if (!base)
        base = "http://169.254.169.254";
    buf_init(&token, 4096);
    char *url = mem_printf("%s/latest/api/token", base);
    enum err err =
        aws_get_text("PUT", url, "X-aws-ec2-metadata-token-ttl-seconds", "21600", &token);
    mem_free(url);
    if (err == OK) {
        buf_put_byte(&token, '\0');
        err = imds_keys(base, token.p, ret);
    } else {
        err = ERR_NOTFOUND; /* no such service here */
    }
    buf_release(&token);
    return err;
}

/* ---- the chain ---- */

static const struct {
    const char *name, *source; /* source: as credential_source spells it */
    enum err (*get)(struct aws_credentials *c, struct aws_keys *ret);
} chain[] = {
    {"environment", "Environment", from_environment},
    {"web identity", NULL, from_web_identity},
    {"profile", NULL, from_own_profile},
    {"container", "EcsContainer", from_container},
    {"instance metadata", "Ec2InstanceMetadata", from_instance},
};

static enum err from_chain(struct aws_credentials *c, const char *named, struct aws_keys *ret)
{
    for (size_t i = 0; i < sizeof(chain) / sizeof(*chain); i++) {
        if (named && (!chain[i].source || strcmp(chain[i].source, named) != 0))
            continue;
        enum err err = chain[i].get(c, ret);
        if (err == ERR_NOTFOUND)
            continue;
        if (!named)
            c->source = chain[i].name;
        return err == OK ? OK : err_set(err, "AWS keys from the %s: %s", chain[i].name, err_text());
    }
    return named ? ERR_NOTFOUND
                 : err_set(ERR_AUTH,
                           "no AWS keys: not in the environment (AWS_ACCESS_KEY_ID), not by a web "
                           "identity, not in profile \"%s\", from no container, and this machine "
                           "has no instance metadata",
                           c->profiles.profile);
}

enum err aws_credentials_new(const struct aws_credentials_options *o, struct aws_credentials **ret)
{
    struct aws_credentials *c = NEW(struct aws_credentials);
    arena_init(&c->arena, 0, NULL);
    pthread_mutex_init(&c->lock, NULL);
    c->source = "";
    const char *profile = o->profile ? arena_str(&c->arena, str_c(o->profile)).p : NULL;
    enum err err = profiles_load(&c->arena, profile, &c->profiles);
    if (err != OK) {
        aws_credentials_free(c);
        return err;
    }
    const char *region = o->region                       ? o->region
                         : aws_env("AWS_REGION")         ? aws_env("AWS_REGION")
                         : aws_env("AWS_DEFAULT_REGION") ? aws_env("AWS_DEFAULT_REGION")
                                                         : NULL;
    struct str name = region ? str_c(region) : profiles_get(&c->profiles, NULL, "region");
    c->region = name.n ? arena_str(&c->arena, name).p : NULL;
    *ret = c;
    return OK;
}

void aws_credentials_free(struct aws_credentials *c)
{
    if (!c)
        return;
    aws_keys_release(&c->keys);
    arena_release(&c->arena);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

static bool is_due(const struct aws_credentials *c, int64_t now)
{
    if (!c->have)
        return true;
    if (!c->keys.expires_ns || now < c->keys.expires_ns - REFRESH_NS)
        return false;
    return now >= c->keys.expires_ns - STALE_NS || now - c->tried_ns >= RETRY_NS;
}

enum err aws_credentials_get(struct aws_credentials *c, struct aws_keys *ret)
{
    enum err err = OK;
    struct aws_keys fresh;
    pthread_mutex_lock(&c->lock);
    int64_t now = clock_now_ns();
    if (is_due(c, now)) {
        c->tried_ns = now;
        err = from_chain(c, NULL, &fresh);
        if (err == OK) {
            aws_keys_release(&c->keys);
            c->keys = fresh;
            c->have = true;
            if (c->keys.expires_ns - REFRESH_NS > now)
                c->tried_ns = 0;
        } else if (c->have && now < c->keys.expires_ns - STALE_NS) {
            log_warn("AWS keys could not be fetched anew; those at hand are still good", "error=%s",
                     err_text());
            err = OK;
        }
    }
    if (err == OK)
        aws_keys_copy(&c->keys, ret);
    pthread_mutex_unlock(&c->lock);
    return err;
}

void aws_credentials_expire(struct aws_credentials *c)
{
    pthread_mutex_lock(&c->lock);
    c->have = false;
    pthread_mutex_unlock(&c->lock);
}

const char *aws_credentials_source(struct aws_credentials *c)
{
    pthread_mutex_lock(&c->lock);
    const char *source = c->source;
    pthread_mutex_unlock(&c->lock);
    return source;
}

const char *aws_credentials_region(const struct aws_credentials *c)
{
    return c->region;
}

/* ---- endpoints ---- */

enum err aws_endpoint(const struct aws_credentials *c, const char *service, struct buf *out)
{
    char variable[64] = "AWS_ENDPOINT_URL_";
    size_t n = strlen(variable);
    for (const char *s = service; *s && n + 1 < sizeof(variable); s++)
        variable[n++] = *s == '-' ? '_' : (char)toupper((unsigned char)*s);
    variable[n] = '\0';
    const char *url = aws_env(variable) ? aws_env(variable) : aws_env("AWS_ENDPOINT_URL");
    struct str configured = url ? str_c(url) : profiles_get(&c->profiles, NULL, "endpoint_url");
    if (configured.n)
        buf_put_str(out, configured);
    else if (!c->region)
        return err_set(ERR_INVALID, "no AWS region: set AWS_REGION, or region in the profile");
    else
        buf_printf(out, "https://%s.%s.amazonaws.com%s", service, c->region,
                   str_starts(str_c(c->region), STR("cn-")) ? ".cn" : "");
    buf_put_byte(out, '\0');
    out->n--;
    return OK;
}
