/* URLs as they are written for seams, inputs and outputs:
 * scheme://user:password@host:port/path?a=b.
 * Percent escapes are undone in every part; "+" stays itself. An IPv6 host has brackets in the
 * text and without them here. Everything lives in the arena. Threads: pure functions. */
#ifndef WEIR_CORE_URL_H
#define WEIR_CORE_URL_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

enum { URL_PARAMS_MAX = 64 };

struct url_param {
    struct str name, value;
};
struct url {
    struct str scheme; /* in lower case; never empty */
    struct str user, password;
    struct str host;
    bool has_port;
    uint16_t port;
    struct str others; /* what stands behind a comma: "b:9092,c:9092", as written; mostly empty */
    struct str path;   /* with its first '/', or empty */
    struct url_param param[URL_PARAMS_MAX];
    unsigned n_params;
};

/* ERR_INVALID says what is wrong; neither password nor parameter values stand in the text. */
NODISCARD enum err url_parse(struct str text, struct arena *arena, struct url *ret);
/* Undoes the percent escapes of a part; `what` names it in ERR_INVALID. A NUL stands behind. */
NODISCARD enum err url_decode(struct str s, const char *what, struct arena *arena, struct str *ret);
/* The last parameter of that name; p is NULL when there is none. */
struct str url_get(const struct url *u, const char *name);
/* *ret: which of the NULL-ended `choice` the parameter is; untouched where it is not there. */
NODISCARD enum err url_choice(const struct url *u, const char *name, const char *const *choice,
                              unsigned *ret);
/* ERR_INVALID names the first parameter that is not one of the NULL-ended `known`, and the nearest
 * that is; or says that the scheme takes one host, where there are others. */
NODISCARD enum err url_check_params(const struct url *u, const char *const *known);
/* ERR_INVALID for a scheme that is not one of the NULL-ended `known` of `what` ("input"): names the
 * nearest that is, or all but those over TLS. */
NODISCARD enum err url_unknown_scheme(const char *what, struct str scheme,
                                      const char *const *known);
/* scheme://host:port/path, for logs and answers: no user, no parameters. */
void url_put_plain(const struct url *u, struct buf *out);

#endif
