/* Sending batches. What is tried again: no connection, a connection that broke (the batch may have
 * landed: its key tells), 429, 503, 409 (the same key is under way: our own request, cut off), 500,
 * 502, 504. */
#include "cmd/sender.h"

#include "core/clock.h"

#include <jansson.h>
#include <stdio.h>

enum { PAUSE_MS_FIRST = 200, PAUSE_MS_MAX = 10000, TIMEOUT_MS = 120000, COMPLAINTS_MAX = 10 };

enum err sender_init(struct sender *s, const struct options *o)
{
    unsigned char random[16];
    uint64_t patience_s;
    *s = (struct sender){.command = o->command, .stream = options_value(o, "stream")};
    if (!options_number(o, "retry-for", 0, 1000000000, 300, &patience_s))
        return err_set(ERR_INVALID, "bad --retry-for");
    s->patience_ns = (int64_t)patience_s * NS_PER_S;
    random_bytes(random, sizeof(random));
    for (int i = 0; i < 16; i++)
        snprintf(s->run + i * 2, 3, "%02x", random[i]);
    return remote_open(o, &s->client);
}

void sender_release(struct sender *s)
{
    http_client_free(s->client);
}

static bool may_retry(unsigned status)
{
    return status == 409 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

static uint64_t count_of(const json_t *answer, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(answer, name));
}

static void complain(struct sender *s, const json_t *answer)
{
    size_t i;
    json_t *e;
    uint64_t before = s->accepted + s->rejected + s->duplicates;
    json_array_foreach(json_object_get(answer, "errors"), i, e)
    {
        if (s->complaints++ >= COMPLAINTS_MAX)
            break;
        const char *reason = json_string_value(json_object_get(e, "reason"));
        fprintf(stderr, "weir %s: record %llu refused: %s\n", s->command->name,
                (unsigned long long)(before + count_of(e, "position") + 1), reason ? reason : "?");
    }
    if (s->complaints == COMPLAINTS_MAX + 1)
        fprintf(stderr, "weir %s: more are refused; all are kept in the stream _dead_letters\n",
                s->command->name);
}

/* The answer's counts; false when it is no judgement of records. */
static bool take_counts(struct sender *s, const struct http_answer *a)
{
    json_t *answer = json_loadb(a->body.p ? a->body.p : "", a->body.n, 0, NULL);
    bool judged = json_object_get(answer, "accepted") != NULL;
    if (judged) {
        complain(s, answer);
        s->accepted += count_of(answer, "accepted");
        s->rejected += count_of(answer, "rejected");
        s->duplicates += count_of(answer, "duplicates");
    }
    json_decref(answer);
    return judged;
}

static enum err try_once(struct sender *s, struct str body, const char *type, struct http_answer *a)
{
    char key[64];
    snprintf(key, sizeof(key), "%s-%llu", s->run, (unsigned long long)s->batches);
    http_client_begin(s->client, "POST", "/api/v1/logs/ingest");
    if (s->stream)
        http_client_param(s->client, "stream", str_c(s->stream));
    http_client_header(s->client, "Content-Type", type);
    http_client_header(s->client, "Idempotency-Key", key);
    return http_client_send(s->client, body, TIMEOUT_MS, NULL, NULL, a);
}

static void pause_before_retry(struct sender *s, const struct http_answer *a, enum err err,
                               int64_t *pause_ms)
{
    char why[256];
    if (err != OK)
        snprintf(why, sizeof(why), "%s", err_text());
    else
        snprintf(why, sizeof(why), "the server answered %u", a->status);
    if (s->waiting && strcmp(s->why, why) != 0)
        s->waiting(s->ctx, why);
    snprintf(s->why, sizeof(s->why), "%s", why);
    int64_t ms = *pause_ms / 2 + (int64_t)(random_u64() % (uint64_t)*pause_ms);
    if (a->retry_after_s * 1000 > ms && a->retry_after_s < 3600)
        ms = a->retry_after_s * 1000;
    clock_sleep_ms(ms);
    *pause_ms = *pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : *pause_ms * 2;
}

enum err sender_send(struct sender *s, struct str body, const char *content_type)
{
    struct http_answer a = {0};
    int64_t give_up = clock_mono_ns() + s->patience_ns, pause_ms = PAUSE_MS_FIRST;
    enum err err;
    buf_init(&a.body, 16 << 20);
    s->batches++;
    s->why[0] = '\0';
    for (;;) {
        err = try_once(s, body, content_type, &a);
        bool again =
            err == ERR_UNAVAILABLE || err == ERR_TIMEOUT || (err == OK && may_retry(a.status));
        if (!again || http_client_distrusts(s->client) || clock_mono_ns() >= give_up)
            break;
        s->retries++;
        pause_before_retry(s, &a, err, &pause_ms);
    }
    if (err == OK && !((a.status == 202 || a.status == 400) && take_counts(s, &a))) {
        remote_explain(s->command, &a);
        err = err_set(ERR_INVALID, "the server does not take this (status %u)", a.status);
    }
    buf_release(&a.body);
    return err;
}
