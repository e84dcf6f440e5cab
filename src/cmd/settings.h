/* The configuration as command lines give it, for the commands that run with one: server, check,
 * config. */
#ifndef WEIR_CMD_SETTINGS_H
#define WEIR_CMD_SETTINGS_H

#include "auth/auth.h"
#include "cmd/options.h"
#include "core/conf.h"

/* For their tables. */
#define SETTINGS_OPTIONS                                                                           \
    {"data", 'd', "DIR", "Folder of everything that is stored (./weir-data)."},                    \
        {"listen", 'l', "HOST:PORT", "Address of the HTTP server (127.0.0.1:5080)."},              \
        {"config", 'c', "FILE", "YAML configuration; see weir config default."},                   \
    {                                                                                              \
        "set", 's', "NAME=VALUE", "Any setting, such as store.retention=30d; may be given often.", \
            .many = true                                                                           \
    }

/* File, environment, --data, --listen, --set, in this order; options that a command does not have
 * count as not given. */
NODISCARD enum err settings_load(const struct options *o, struct conf *c);
/* Logs what `c` changes: of the settings named in `now` (ended by NULL) against `latest`, which is
 * in force; of all others against `running`, with the word that they need a restart. */
void settings_report(const struct conf *running, const struct conf *latest, const struct conf *c,
                     const char *const *now);
/* Without credentials only this machine may reach the server. *ret points into the conf. */
NODISCARD enum err settings_check_auth(const struct conf *c, struct auth_root *ret);
/* memory.budget where it is 0, on a machine with so much memory. */
size_t settings_default_budget(uint64_t memory_bytes);

#endif
