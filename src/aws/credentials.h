/* Where keys come from: the environment, a profile's role or keys, a web identity (IRSA), the
 * container's endpoint (ECS, EKS Pod Identity), the instance's metadata (IMDSv2), in the order of
 * AWS's own command line. Temporary keys are fetched anew before they expire; while that fails and
 * they are still good, they are used.
 * Threads: any. A call may block on a fetch; others wait for it. */
#ifndef WEIR_AWS_CREDENTIALS_H
#define WEIR_AWS_CREDENTIALS_H

#include "aws/profile.h"
#include "aws/sign.h"

struct aws_credentials;
struct aws_credentials_options {
    const char *profile; /* NULL: AWS_PROFILE, or "default" */
    const char *region;  /* NULL: AWS_REGION, AWS_DEFAULT_REGION, the profile's */
};
/* Reads the files. ERR_INVALID says where they are wrong. Fetches nothing yet. */
NODISCARD enum err aws_credentials_new(const struct aws_credentials_options *o,
                                       struct aws_credentials **ret);
void aws_credentials_free(struct aws_credentials *c);
/* Copies of the keys, to be released. ERR_AUTH when no source has any: the text says what each one
 * said. ERR_UNAVAILABLE when a source cannot be reached. */
NODISCARD enum err aws_credentials_get(struct aws_credentials *c, struct aws_keys *ret);
/* The service says that these are expired: the next get fetches. */
void aws_credentials_expire(struct aws_credentials *c);
/* "environment", "web identity", ...: of the last get; "" before it. */
const char *aws_credentials_source(struct aws_credentials *c);
const char *aws_credentials_region(const struct aws_credentials *c); /* NULL: not configured */
/* Of the service: AWS_ENDPOINT_URL_RDS, AWS_ENDPOINT_URL, the profile's endpoint_url, else
 * https://SERVICE.REGION.amazonaws.com (of the region's partition). Written to `out`. */
NODISCARD enum err aws_endpoint(const struct aws_credentials *c, const char *service,
                                struct buf *out);

#endif
