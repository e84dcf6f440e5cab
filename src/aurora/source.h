/* RDS as the collector uses it: every call goes through the limits, is counted, and knows which
 * instance it is about.
 * Threads: a source from any; a aws_client from one at a time. */
#ifndef WEIR_AURORA_SOURCE_H
#define WEIR_AURORA_SOURCE_H

#include "aurora/limits.h"
#include "aws/rds.h"

struct rds_source;
NODISCARD enum err rds_source_new(struct aws_credentials *credentials, struct limits *limits,
                                  const atomic_bool *stopping, struct rds_source **ret);
void rds_source_free(struct rds_source *s);
struct aws_service *rds_source_service(struct rds_source *s);
/* What this thread asks from now on is about that instance; it must outlive the calls. Empty: about
 * none. */
void rds_source_about(struct str instance);

#endif
