/* Log files of container runtimes: their lines, their paths, docker's description of a container.
 * The formats stand in container.c. Threads: pure functions. */
#ifndef WEIR_WIRE_CONTAINER_H
#define WEIR_WIRE_CONTAINER_H

#include "core/buf.h"
#include "core/err.h"

enum container_stream { CONTAINER_STDOUT, CONTAINER_STDERR, CONTAINER_STREAMS };
extern const char *const container_streams[CONTAINER_STREAMS];

struct container_line {
    enum container_stream stream;
    bool is_partial; /* the next line of its stream goes on with it */
    int64_t time_ns;
    struct str text; /* a slice of the line, or in `scratch` */
};
/* A line without its end, of CRI or of docker's json-file. False where it is neither: the rest is
 * then not set. */
bool container_line_read(struct str line, struct buf *scratch, struct container_line *ret);

/* What a path says; parts that it does not say are empty. Slices of it. */
struct container_path {
    struct str space, pod, pod_id, container, container_id;
};
/* False where the path is none of a container. */
bool container_path_read(struct str path, struct container_path *ret);

/* Docker's config.v2.json: appends the container as a JSON object {"id", "name", "image",
 * "labels"}, as far as they are there, and to `service` what it may be called. ERR_INVALID. */
NODISCARD enum err container_config_read(struct str config, struct buf *out, struct buf *service);
/* The answer of Kubernetes' API server for a pod: appends members of a JSON object, each with a
 * comma before it: "pod_id" (unless `path` says it), "container_id" (likewise), "host", "labels";
 * to `service` the label that names it, to `node` the node. ERR_INVALID. */
NODISCARD enum err container_pod_read(struct str answer, const struct container_path *path,
                                      struct buf *out, struct buf *service, struct buf *node);

#endif
