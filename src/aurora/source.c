#include "aurora/source.h"

#include "core/mem.h"
#include "core/metrics.h"

#include <stdio.h>

struct rds_source {
    struct aws_service *service;
    struct limits *limits;
};

static _Thread_local struct str about;

static enum err admit(void *ctx, const char *action)
{
    struct rds_source *s = ctx;
    return limits_admit(s->limits, action, about);
}

static void count(const char *action, const char *result)
{
    char labels[200];
    snprintf(labels, sizeof(labels), "api=\"%s\",result=\"%s\"", action, result);
    metric_add(metric_counter("weir_aurora_rds_requests_total", labels, "Requests to the RDS API."),
               1);
}

static void judged(void *ctx, const char *action, const struct aws_answer *a)
{
    struct rds_source *s = ctx;
    enum limits_outcome outcome = LIMITS_GOOD;
    if (a->throttled)
        outcome = LIMITS_THROTTLED;
    else if (a->status == 0 || a->status >= 500 || a->status == 403)
        outcome = LIMITS_BAD;
    count(action, a->status / 100 == 2 ? "ok" : a->throttled ? "throttled" : "error");
    limits_judge(s->limits, action, about, outcome);
}

enum err rds_source_new(struct aws_credentials *credentials, struct limits *limits,
                        const atomic_bool *stopping, struct rds_source **ret)
{
    struct rds_source *s = NEW(struct rds_source);
    s->limits = limits;
    struct aws_service_options o = {.credentials = credentials,
                                    .service = "rds",
                                    .ctx = s,
                                    .admit = admit,
                                    .judged = judged,
                                    .stopping = stopping};
    enum err err = aws_service_new(&o, &s->service);
    if (err != OK) {
        mem_free(s);
        return err;
    }
    *ret = s;
    return OK;
}

void rds_source_free(struct rds_source *s)
{
    if (!s)
        return;
    aws_service_free(s->service);
    mem_free(s);
}

struct aws_service *rds_source_service(struct rds_source *s)
{
    return s->service;
}

void rds_source_about(struct str instance)
{
    about = instance;
}
