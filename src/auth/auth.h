/* Who may come in: basic auth for the root user. An auth_root is immutable; any thread may ask it.
 */
#ifndef WEIR_AUTH_AUTH_H
#define WEIR_AUTH_AUTH_H

#include "core/str.h"

#include <stdbool.h>

struct auth_root {
    struct str user, password; /* the caller's, for as long as this is asked */
};
/* As http_server_options.authorize: `ctx` is a struct auth_root, `authorization` the header's
 * value. The time it takes does not depend on how much of the name or password is right. */
bool auth_root_check(void *ctx, struct str authorization);

#endif
