/* What Kubernetes' API server says of a pod. In a pod of the cluster everything is found where the
 * kubelet puts it: the server in KUBERNETES_SERVICE_HOST and _PORT, the service account's token and
 * certificate below /var/run/secrets/kubernetes.io/serviceaccount. The account needs `get` of pods.
 *
 * Answers are kept for a minute. A server that does not answer is not asked again for 10 s, so that
 * a log flows on without it: then the records lack what it would have said.
 * Threads: one. Calls block for at most 2 s. */
#ifndef WEIR_INPUT_KUBE_H
#define WEIR_INPUT_KUBE_H

#include "core/err.h"
#include "core/str.h"

struct kube;
struct kube_options {
    const char *api;        /* https://HOST:PORT; "none": nobody is asked; NULL: as above */
    const char *token, *ca; /* files; NULL: as above */
};
/* *ret is NULL where there is no server to ask. ERR_INVALID for a URL that is none. */
NODISCARD enum err kube_new(const struct kube_options *o, struct kube **ret);
void kube_free(struct kube *k); /* NULL is fine */
/* *ret: the pod as JSON, until the next call. ERR_NOTFOUND: there is none of that name;
 * ERR_UNAVAILABLE: ask again later. */
NODISCARD enum err kube_pod(struct kube *k, struct str space, struct str pod, struct str *ret);

#endif
