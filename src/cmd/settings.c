/* Configuration from command lines. */
#include "cmd/settings.h"

#include "core/log.h"
#include "net/listen.h"

#include <stdio.h>

#define BUDGET_MOST ((size_t)1 << 30)

static enum err set_one(struct conf *c, struct str pair)
{
    size_t eq = str_find_byte(pair, '=', 0);
    char name[128];
    if (eq == pair.n || eq >= sizeof(name))
        return err_set(ERR_INVALID, "--set %.*s: NAME=VALUE is wanted", STR_ARG(pair));
    snprintf(name, sizeof(name), "%.*s", (int)eq, pair.p);
    return conf_set(c, name, str_from(pair, eq + 1), "--set");
}

enum err settings_load(const struct options *o, struct conf *c)
{
    const char *file = options_value(o, "config"), *value;
    if (file)
        TRY(conf_load_file(c, file));
    TRY(conf_load_env(c));
    if ((value = options_value(o, "data")))
        TRY(conf_set(c, "server.data", str_c(value), "--data"));
    if ((value = options_value(o, "listen")))
        TRY(conf_set(c, "server.listen", str_c(value), "--listen"));
    if ((value = options_value(o, "queue")))
        TRY(conf_set(c, "queue.url", str_c(value), "--queue"));
    if ((value = options_value(o, "catalog")))
        TRY(conf_set(c, "catalog.url", str_c(value), "--catalog"));
    if ((value = options_value(o, "objects")))
        TRY(conf_set(c, "objects.url", str_c(value), "--objects"));
    for (unsigned i = 0; (value = options_value_at(o, "set", i)); i++)
        TRY(set_one(c, str_c(value)));
    return OK;
}

static bool list_differs(const struct conf *a, const struct conf *b, const char *name)
{
    const char *x, *y;
    for (size_t i = 0;; i++) {
        x = conf_list_item(a, name, i);
        y = conf_list_item(b, name, i);
        if (!x || !y || strcmp(x, y) != 0)
            return x || y;
    }
}

static bool differs(const struct conf *a, const struct conf *b, const struct conf_setting *s)
{
    if (s->type == CONF_LIST)
        return list_differs(a, b, s->name);
    const char *x = conf_text(a, s->name), *y = conf_text(b, s->name);
    return x && y ? strcmp(x, y) != 0 : x != y;
}

void settings_report(const struct conf *running, const struct conf *latest, const struct conf *c,
                     const char *const *now)
{
    for (const struct conf_setting *s = conf_settings(c); s->name; s++) {
        bool at_once = false;
        for (size_t i = 0; now[i]; i++)
            at_once = at_once || !strcmp(now[i], s->name);
        if (!differs(at_once ? latest : running, c, s))
            continue;
        bool shown = !s->secret && s->type != CONF_LIST && conf_text(c, s->name);
        if (at_once)
            log_info("setting changed", "name=%s value=%s", s->name,
                     shown ? conf_text(c, s->name) : "...");
        else
            log_warn("setting needs a restart", "name=%s", s->name);
    }
}

enum err settings_check_auth(const struct conf *c, struct auth_root *ret)
{
    const char *user = conf_string(c, "auth.root_user");
    const char *password = conf_string(c, "auth.root_password");
    const char *address = conf_string(c, "server.listen");
    bool loopback;
    TRY(listen_is_loopback(address, &loopback));
    if ((user && *user) != (password && *password))
        return err_set(
            ERR_INVALID, "%s is set without %s", user && *user ? "a root user" : "a root password",
            user && *user ? "its password (WEIR_ROOT_PASSWORD)" : "a name (WEIR_ROOT_USER)");
    if (user && *user) {
        *ret = (struct auth_root){str_c(user), str_c(password)};
        return OK;
    }
    if (!loopback)
        return err_set(
            ERR_AUTH,
            "%s can be reached from other machines, and without credentials anyone there could "
            "read and write your logs.\nSet WEIR_ROOT_USER and WEIR_ROOT_PASSWORD in the "
            "environment, or listen on 127.0.0.1",
            address);
    return OK;
}

size_t settings_default_budget(uint64_t memory_bytes)
{
    uint64_t half = memory_bytes / 2;
    return half && half < BUDGET_MOST ? (size_t)half : BUDGET_MOST;
}
