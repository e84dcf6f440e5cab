/* What credentials.c shares with client.c and with the fuzzers. */
#ifndef WEIR_AWS_CREDENTIALS_IMPL_H
#define WEIR_AWS_CREDENTIALS_IMPL_H

#include "aws/sign.h"
#include "aws/xml.h"
#include "net/http_client.h"

/* The variable's value; NULL when it is unset or empty. */
const char *aws_env(const char *name);
/* One request without retries; keys NULL: unsigned. `ret->body` is initialised by the caller. */
NODISCARD enum err aws_post_form(const char *endpoint, const struct aws_keys *keys,
                                 const char *service, const char *region, struct str form,
                                 struct http_answer *ret);
/* GET or PUT of a whole URL with one header (value NULL: none) within two seconds, tried twice. Any
 * status but 2xx is ERR_UNAVAILABLE, 4xx ERR_AUTH. */
NODISCARD enum err aws_get_text(const char *method, const char *url, const char *header,
                                const char *value, struct buf *ret);
/* STS's answer; the JSON of containers and instances. */
NODISCARD enum err aws_read_sts(struct str xml, struct aws_keys *ret);
NODISCARD enum err aws_read_keys_json(struct str text, struct aws_keys *ret);

#endif
