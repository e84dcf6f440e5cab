/* The AWS command line's files, ~/.aws/config and ~/.aws/credentials (AWS_CONFIG_FILE,
 * AWS_SHARED_CREDENTIALS_FILE), read as INI: sections of `name = value`. Comments begin with '#' or
 * ';' at a line's start or behind a blank; a value's indented lines (nested settings, as of "s3 =")
 * are passed over. Bounds: a file of 1 MiB. Threads: pure functions. */
#ifndef WEIR_AWS_PROFILE_H
#define WEIR_AWS_PROFILE_H

#include "core/arena.h"

/* The value of `name` in the section, or p == NULL. The last one of a name counts. */
struct str profile_find(struct str text, struct str section, const char *name);
/* ERR_INVALID names the line that is neither a section nor a setting; values are not in the text.
 */
NODISCARD enum err profile_check(struct str text, const char *file);

struct profiles {
    struct str config, credentials; /* texts of the files; empty when there are none */
    const char *profile;            /* AWS_PROFILE, or "default" */
};
/* Everything lives in the arena. ERR_INVALID, ERR_IO. */
NODISCARD enum err profiles_load(struct arena *a, const char *profile, struct profiles *ret);
/* From the credentials file, then from the config file ("[profile NAME]", "[default]"). profile:
 * NULL for the one chosen. p == NULL: none. */
struct str profiles_get(const struct profiles *p, const char *profile, const char *name);

#endif
