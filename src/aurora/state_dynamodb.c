/* The state in DynamoDB. Conditions are condition expressions, writes are UpdateItem, so that two
 * writers of different attributes do not undo each other. Tables are on demand (they have no
 * capacity to set), with time to live on `expires_at`. Items that have expired may still be there
 * for two days; nobody relies on their being gone.
 *
 * Throttled calls are retried by the client, and counted by table. */
#include "aurora/state.h"
#include "aws/dynamodb.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/metrics.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

enum { CLIENTS_MAX = 64, READY_S = 60 };

struct dynamodb_state {
    struct state base;
    struct aws_service *service;
    char *prefix;
    pthread_mutex_t lock; /* of the idle clients */
    struct aws_client *idle[CLIENTS_MAX];
    unsigned n_idle;
    struct metric *calls[STATE_TABLE_COUNT], *throttles[STATE_TABLE_COUNT];
};

static _Thread_local enum state_table table_now; /* that this thread's call is about */

static struct dynamodb_state *state_of(struct state *s)
{
    return (struct dynamodb_state *)s;
}

static void dynamodb_close(struct state *base)
{
    struct dynamodb_state *s = state_of(base);
    for (unsigned i = 0; i < s->n_idle; i++)
        aws_client_free(s->idle[i]);
    aws_service_free(s->service);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->prefix);
    mem_free(s);
}

/* ---- calls ---- */

static void judged(void *ctx, const char *action, const struct aws_answer *a)
{
    struct dynamodb_state *s = ctx;
    metric_add(s->calls[table_now], 1);
    if (a->throttled)
        metric_add(s->throttles[table_now], 1);
}

static enum err client_take(struct dynamodb_state *s, struct aws_client **ret)
{
    struct aws_client *c = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->n_idle)
        c = s->idle[--s->n_idle];
    pthread_mutex_unlock(&s->lock);
    if (!c)
        return aws_client_new(s->service, ret);
    *ret = c;
    return OK;
}

static void client_give(struct dynamodb_state *s, struct aws_client *c)
{
    pthread_mutex_lock(&s->lock);
    if (s->n_idle < CLIENTS_MAX) {
        s->idle[s->n_idle++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    aws_client_free(c);
}

/* `request` is released. ret NULL: the answer is not wanted. */
static enum err call(struct dynamodb_state *s, enum state_table t, const char *action,
                     json_t *request, json_t **ret)
{
    struct aws_client *c;
    json_t *answer = NULL;
    char *name = mem_printf("%s%s", s->prefix, state_tables[t].name);
    table_now = t;
    json_object_set_new(request, "TableName", json_string(name));
    enum err err = client_take(s, &c);
    if (err == OK) {
        err = dynamodb_call(c, action, request, &answer);
        client_give(s, c);
        if (err != OK)
            err = err_set(err, "table %s: %s", name, err_text());
    }
    json_decref(request);
    mem_free(name);
    if (err == OK && ret)
        *ret = answer;
    else
        json_decref(answer);
    return err;
}

/* ---- keys, names and conditions ---- */

static json_t *text_value(struct str s)
{
    return json_pack("{s:s%}", "S", s.n ? s.p : "", s.n);
}

static json_t *int_value(int64_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)n);
    return json_pack("{s:s}", "N", text);
}

static json_t *key_json(enum state_table t, const struct state_key *k)
{
    json_t *key = json_object();
    json_object_set_new(key, state_tables[t].hash, text_value(k->hash));
    if (state_tables[t].range)
        json_object_set_new(key, state_tables[t].range, text_value(k->range));
    return key;
}

/* An expression under way: names stand for attributes, since many are reserved words. */
struct expression {
    json_t *names, *values;
    unsigned n;
};

static unsigned add_name(struct expression *e, struct str name)
{
    char mark[16];
    snprintf(mark, sizeof(mark), "#n%u", e->n);
    json_object_set_new(e->names, mark, json_stringn(name.p, name.n));
    return e->n++;
}

static void add_value(struct expression *e, unsigned number, json_t *value)
{
    char mark[16];
    snprintf(mark, sizeof(mark), ":v%u", number);
    json_object_set_new(e->values, mark, value);
}

static void put_conditions(struct expression *e, enum state_table t, const struct state_cond *cond,
                           unsigned n, json_t *request)
{
    struct buf text;
    buf_init(&text, 4096);
    for (unsigned i = 0; i < n; i++) {
        const struct state_cond *c = &cond[i];
        unsigned at = add_name(e, str_c(c->op == STATE_NO_ITEM ? state_tables[t].hash : c->name));
        buf_put_c(&text, i ? " AND " : "");
        if (c->op != STATE_IS_TEXT && c->op != STATE_IS_INT) {
            buf_printf(&text, "attribute_%sexists(#n%u)", c->op == STATE_HAS_ATTR ? "" : "not_",
                       at);
            continue;
        }
        buf_printf(&text, "#n%u = :v%u", at, at);
        add_value(e, at, c->op == STATE_IS_TEXT ? text_value(c->text) : int_value(c->number));
    }
    if (n)
        json_object_set_new(request, "ConditionExpression", json_stringn(text.p, text.n));
    buf_release(&text);
}

static void put_expression(struct expression *e, json_t *request)
{
    if (json_object_size(e->names))
        json_object_set(request, "ExpressionAttributeNames", e->names);
    if (json_object_size(e->values))
        json_object_set(request, "ExpressionAttributeValues", e->values);
    json_decref(e->names);
    json_decref(e->values);
}

/* ---- the driver ---- */

static enum err dynamodb_get(struct state *base, enum state_table t, const struct state_key *k,
                             struct arena *a, struct state_item *ret)
{
    json_t *answer;
    json_t *request = json_pack("{s:o,s:b}", "Key", key_json(t, k), "ConsistentRead", 1);
    TRY(call(state_of(base), t, "GetItem", request, &answer));
    const json_t *item = json_object_get(answer, "Item");
    enum err err = item ? state_item_read(item, a, ret)
                        : err_set(ERR_NOTFOUND, "%s has no %.*s%s%.*s", state_tables[t].name,
                                  STR_ARG(k->hash), k->range.n ? " " : "", STR_ARG(k->range));
    json_decref(answer);
    return err;
}

static bool is_key(enum state_table t, struct str name)
{
    return str_eq_c(name, state_tables[t].hash) ||
           (state_tables[t].range && str_eq_c(name, state_tables[t].range));
}

static enum err dynamodb_update(struct state *base, enum state_table t, const struct state_key *k,
                                const struct state_item *set, const struct state_cond *cond,
                                unsigned n, bool durable)
{
    struct expression e = {json_object(), json_object(), 0};
    json_t *request = json_pack("{s:o}", "Key", key_json(t, k));
    struct buf text;
    bool any = false;
    buf_init(&text, 8192);
    for (unsigned i = 0; i < set->n; i++) {
        const struct state_attr *attr = &set->attr[i];
        if (is_key(t, attr->name))
            continue;
        unsigned at = add_name(&e, attr->name);
        add_value(&e, at, attr->is_number ? int_value(attr->number) : text_value(attr->text));
        buf_printf(&text, "%s#n%u = :v%u", any ? ", " : "SET ", at, at);
        any = true;
    }
    if (any)
        json_object_set_new(request, "UpdateExpression", json_stringn(text.p, text.n));
    put_conditions(&e, t, cond, n, request);
    put_expression(&e, request);
    buf_release(&text);
    return call(state_of(base), t, "UpdateItem", request, NULL);
}

static enum err dynamodb_remove(struct state *base, enum state_table t, const struct state_key *k,
                                const struct state_cond *cond, unsigned n)
{
    struct expression e = {json_object(), json_object(), 0};
    json_t *request = json_pack("{s:o}", "Key", key_json(t, k));
    put_conditions(&e, t, cond, n, request);
    put_expression(&e, request);
    return call(state_of(base), t, "DeleteItem", request, NULL);
}

static enum err each_of_page(const json_t *page, struct arena *a,
                             enum err (*fn)(void *ctx, const struct state_item *item), void *ctx)
{
    struct state_item *item = ARENA_NEW(a, struct state_item);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(page, "Items"), i, one)
    {
        TRY(state_item_read(one, a, item));
        TRY(fn(ctx, item));
    }
    return OK;
}

static enum err dynamodb_each(struct state *base, enum state_table t, struct str hash,
                              enum err (*fn)(void *ctx, const struct state_item *item), void *ctx)
{
    json_t *start = NULL, *page = NULL;
    struct arena a;
    enum err err;
    arena_init(&a, 0, NULL);
    do {
        json_t *request = json_pack("{s:b}", "ConsistentRead", 1);
        if (hash.n) {
            json_object_set_new(request, "KeyConditionExpression", json_string("#k = :k"));
            json_object_set_new(request, "ExpressionAttributeNames",
                                json_pack("{s:s}", "#k", state_tables[t].hash));
            json_object_set_new(request, "ExpressionAttributeValues",
                                json_pack("{s:o}", ":k", text_value(hash)));
        }
        if (start)
            json_object_set_new(request, "ExclusiveStartKey", start);
        start = NULL;
        arena_reset(&a);
        err = call(state_of(base), t, hash.n ? "Query" : "Scan", request, &page);
        if (err != OK)
            break;
        err = each_of_page(page, &a, fn, ctx);
        start = json_incref(json_object_get(page, "LastEvaluatedKey"));
        json_decref(page);
    } while (err == OK && start);
    json_decref(start);
    arena_release(&a);
    return err;
}

static enum err dynamodb_forget(struct state *base, int64_t now_s)
{
    return OK; /* it does so by itself */
}

/* ---- tables ---- */

static json_t *table_request(enum state_table t)
{
    const struct state_table_info *info = &state_tables[t];
    json_t *keys = json_array(), *attrs = json_array();
    const struct {
        const char *name, *type;
    } key[] = {{info->hash, "HASH"}, {info->range, "RANGE"}};
    for (unsigned i = 0; i < 2; i++)
        if (key[i].name) {
            json_array_append_new(
                keys, json_pack("{s:s,s:s}", "AttributeName", key[i].name, "KeyType", key[i].type));
            json_array_append_new(
                attrs, json_pack("{s:s,s:s}", "AttributeName", key[i].name, "AttributeType", "S"));
        }
    return json_pack("{s:o,s:o,s:s}", "KeySchema", keys, "AttributeDefinitions", attrs,
                     "BillingMode", "PAY_PER_REQUEST");
}

static enum err wait_active(struct dynamodb_state *s, enum state_table t)
{
    for (int i = 0; i < READY_S * 5; i++) {
        json_t *answer;
        TRY(call(s, t, "DescribeTable", json_object(), &answer));
        const char *status =
            json_string_value(json_object_get(json_object_get(answer, "Table"), "TableStatus"));
        bool active = status && !strcmp(status, "ACTIVE");
        json_decref(answer);
        if (active)
            return OK;
        clock_sleep_ms(200);
    }
    return err_set(ERR_TIMEOUT, "table %s: not active after %d seconds", state_tables[t].name,
                   READY_S);
}

static enum err expire_items(struct dynamodb_state *s, enum state_table t)
{
    json_t *answer;
    TRY(call(s, t, "DescribeTimeToLive", json_object(), &answer));
    const char *status = json_string_value(
        json_object_get(json_object_get(answer, "TimeToLiveDescription"), "TimeToLiveStatus"));
    bool is_on = status && (!strcmp(status, "ENABLED") || !strcmp(status, "ENABLING"));
    json_decref(answer);
    if (is_on)
        return OK;
    json_t *request = json_pack("{s:{s:b,s:s}}", "TimeToLiveSpecification", "Enabled", 1,
                                "AttributeName", "expires_at");
    return call(s, t, "UpdateTimeToLive", request, NULL);
}

static enum err dynamodb_init(struct state *base)
{
    struct dynamodb_state *s = state_of(base);
    for (int t = 0; t < STATE_TABLE_COUNT; t++) {
        enum err err =
            call(s, (enum state_table)t, "CreateTable", table_request((enum state_table)t), NULL);
        if (err != OK && err != ERR_EXISTS)
            return err;
        TRY(wait_active(s, (enum state_table)t));
        if (state_tables[t].expires)
            TRY(expire_items(s, (enum state_table)t));
    }
    return OK;
}

static const struct state_driver dynamodb_driver = {
    .close = dynamodb_close,
    .init = dynamodb_init,
    .get = dynamodb_get,
    .update = dynamodb_update,
    .remove = dynamodb_remove,
    .each = dynamodb_each,
    .forget = dynamodb_forget,
};

enum err state_open_dynamodb(const struct url *url, struct aws_credentials *credentials,
                             struct state **ret)
{
    static const char *const known[] = {"prefix", NULL};
    TRY(url_check_params(url, known));
    struct dynamodb_state *s = NEW(struct dynamodb_state);
    struct aws_service_options o = {
        .credentials = credentials, .service = "dynamodb", .ctx = s, .judged = judged};
    enum err err = aws_service_new(&o, &s->service);
    if (err != OK) {
        mem_free(s);
        return err;
    }
    s->base.driver = &dynamodb_driver;
    s->prefix = mem_strdup(url_get(url, "prefix"));
    pthread_mutex_init(&s->lock, NULL);
    for (int t = 0; t < STATE_TABLE_COUNT; t++) {
        char label[100];
        snprintf(label, sizeof(label), "table=\"%s\"", state_tables[t].name);
        s->calls[t] = metric_counter("weir_aurora_dynamodb_requests_total", label,
                                     "Requests to a table of DynamoDB.");
        s->throttles[t] = metric_counter("weir_aurora_dynamodb_throttles_total", label,
                                         "Of them, refused for their rate.");
    }
    *ret = &s->base;
    return OK;
}
