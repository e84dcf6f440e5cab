/* The calls of the RDS API that a log collector needs, by the query protocol of 2014-10-31, and the
 * whole-file endpoint. Source: Amazon RDS API Reference; "Downloading a database log file" in the
 * RDS User Guide.
 * Threads: as aws_client. Results live in the arena given. */
#ifndef WEIR_AWS_RDS_H
#define WEIR_AWS_RDS_H

#include "aws/client.h"
#include "core/arena.h"

struct rds_tag {
    struct str key, value;
};
struct rds_instance {
    struct str id, engine, engine_version, instance_class, status, cluster, arn, az, parameters;
    struct rds_tag *tag;
    uint32_t n_tags;
};
struct rds_instances {
    struct rds_instance *item;
    uint32_t n, cap;
};
/* Appends all pages. engine: only those ("aurora-mysql"); NULL: any. */
NODISCARD enum err rds_describe_instances(struct aws_client *c, const char *engine, struct arena *a,
                                          struct rds_instances *list);

struct rds_file {
    struct str name;
    int64_t last_written_ms; /* since 1970 */
    uint64_t size;
};
struct rds_files {
    struct rds_file *item;
    uint32_t n, cap;
};
struct rds_files_query {
    struct str instance;
    const char *contains;    /* FilenameContains; NULL: all */
    int64_t written_from_ms; /* FileLastWritten; 0: any */
};
NODISCARD enum err rds_describe_files(struct aws_client *c, const struct rds_files_query *q,
                                      struct arena *a, struct rds_files *list);

struct rds_portion {
    struct buf data;  /* initialised and released by the caller; bytes as the server has them */
    char marker[256]; /* of the next portion */
    bool pending;     /* there is more to be had now */
};
/* marker "0": from the beginning; "": the file's last lines. lines 0: as many as the service
 * gives. */
NODISCARD enum err rds_download_portion(struct aws_client *c, struct str instance, struct str file,
                                        const char *marker, unsigned lines,
                                        struct rds_portion *ret);
/* The file from its beginning to its end, byte by byte, to `write`. */
NODISCARD enum err rds_download_whole(struct aws_client *c, struct str instance, struct str file,
                                      enum err (*write)(void *ctx, struct str bytes), void *ctx);

/* A parameter of a DB parameter group: value to `out`, "" when it has none. ERR_NOTFOUND. */
NODISCARD enum err rds_parameter(struct aws_client *c, struct str group, const char *name,
                                 char *out, size_t n);

/* The answers' readers, for tests. *ret_marker: of the next page; "" when this is the last. */
enum { RDS_MARKER_MAX = 1024 };
NODISCARD enum err rds_read_instances(struct str xml, struct arena *a, struct rds_instances *list,
                                      char ret_marker[RDS_MARKER_MAX]);
NODISCARD enum err rds_read_files(struct str xml, struct arena *a, struct rds_files *list,
                                  char ret_marker[RDS_MARKER_MAX]);
NODISCARD enum err rds_read_portion(struct str xml, struct rds_portion *ret);

#endif
