/* DynamoDB's calls by its JSON protocol 1.0 (20120810). Threads: as aws_client. */
#ifndef WEIR_AWS_DYNAMODB_H
#define WEIR_AWS_DYNAMODB_H

#include "aws/client.h"

struct json_t;
/* Sends `request` (the caller's) as DynamoDB_20120810.ACTION; *ret is to be decref'd. Errors as of
 * aws_send; ERR_INVALID when the answer is no JSON object. */
NODISCARD enum err dynamodb_call(struct aws_client *c, const char *action,
                                 const struct json_t *request, struct json_t **ret);

#endif
