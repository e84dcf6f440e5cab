/* Opening the catalog when a server starts. */
#ifndef WEIR_CMD_CATALOG_START_H
#define WEIR_CMD_CATALOG_START_H

#include "catalog/catalog.h"
#include "core/conf.h"

/* By catalog.url. One that cannot be reached is tried again for half a minute, as it may be
 * starting too; SIGTERM and SIGINT, which must be blocked, end that with ERR_CANCELED. */
NODISCARD enum err catalog_start(const struct conf *c, struct catalog **ret);

#endif
