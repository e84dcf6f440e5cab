#include "aws/dynamodb.h"

#include "core/mem.h"

#include <jansson.h>
#include <stdio.h>

enum { ANSWER_MAX = 64 << 20 };

static int put_text(const char *p, size_t n, void *buf)
{
    buf_put(buf, p, n);
    return 0;
}

enum err dynamodb_call(struct aws_client *c, const char *action, const struct json_t *request,
                       struct json_t **ret)
{
    struct aws_answer answer;
    struct buf body;
    char target[80];
    snprintf(target, sizeof(target), "DynamoDB_20120810.%s", action);
    buf_init(&body, 64 << 20);
    buf_init(&answer.body, ANSWER_MAX);
    CHECK(json_dump_callback(request, put_text, &body, JSON_COMPACT) == 0);
    struct aws_call call = {.action = action,
                            .method = "POST",
                            .content_type = "application/x-amz-json-1.0",
                            .target = target,
                            .body = buf_str(&body)};
    enum err err = aws_send(c, &call, &answer);
    if (err == OK) {
        json_t *j = json_loadb(answer.body.n ? answer.body.p : "", answer.body.n, 0, NULL);
        if (json_is_object(j)) {
            *ret = j;
        } else {
            json_decref(j);
            err = err_set(ERR_INVALID, "%s: the answer is no JSON object", action);
        }
    }
    buf_release(&body);
    buf_release(&answer.body);
    return err;
}
