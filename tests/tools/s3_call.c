/* s3_call METHOD PATH [QUERY]: one request to S3 by the program's own AWS client, signed as S3
 * wants it (the payload's hash is a header, a path is encoded once). Keys, region and endpoint come
 * from the environment; a body from stdin. Prints the answer's body, or the error to stderr and
 * ends with 1. */
#include "aws/client.h"
#include "core/err.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

static void read_all(FILE *f, struct buf *out)
{
    char piece[65536];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        buf_put_str(out, str_of(piece, n));
}

static enum err call(const struct aws_call *c, struct aws_answer *answer)
{
    struct aws_credentials_options none = {0};
    struct aws_service_options o = {.service = "s3"};
    struct aws_client *client;
    struct aws_service *service;
    TRY(aws_credentials_new(&none, &o.credentials));
    TRY(aws_service_new(&o, &service));
    TRY(aws_client_new(service, &client));
    enum err err = aws_send(client, c, answer);
    aws_client_free(client);
    aws_service_free(service);
    aws_credentials_free(o.credentials);
    return err;
}

int main(int argc, char **argv)
{
    struct buf body;
    struct aws_answer answer = {0};
    if (argc < 3)
        return 2;
    buf_init(&body, SIZE_MAX);
    buf_init(&answer.body, SIZE_MAX);
    if (!strcmp(argv[1], "PUT") || !strcmp(argv[1], "POST"))
        read_all(stdin, &body);
    struct aws_call c = {.action = argv[1],
                         .method = argv[1],
                         .path = str_c(argv[2]),
                         .query = str_c(argc > 3 ? argv[3] : ""),
                         .body = buf_str(&body),
                         .s3 = true};
    enum err err = call(&c, &answer);
    if (err == OK)
        fwrite(answer.body.p, 1, answer.body.n, stdout);
    else
        fprintf(stderr, "%s\n", err_text());
    buf_release(&body);
    buf_release(&answer.body);
    return err != OK;
}
