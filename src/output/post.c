#include "output/post.h"

#include "core/clock.h"
#include "core/mem.h"
#include "net/http_client.h"
#include "output/gzip.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    ANSWER_MAX = 64 << 20,
    BODY_BYTES = 8 << 20, /* of rows, before they are packed; a larger row goes alone */
    SLOW_MS = 2000,
    QUICK_MS = 400,
    ROWS_MIN = 20,
    REASON_MAX = 300,
};

struct post {
    const struct post_kind *kind;
    void *ctx;
    struct http_client *client;
    char *path, *token;
    struct buf headers; /* "Name\0value\0" behind each other */
    bool gzip, greeted;
    int64_t timeout_ms;
    uint32_t rows_max; /* of a body, as the peer's pace allows */

    /* The bulk at hand. */
    struct output_bulk bulk;
    uint64_t first_sequence;
    bool written;
    struct post_piece *piece;
    size_t pieces_cap;
    uint32_t n;
    struct buf text, body, packed;
    struct arena reasons;
    struct http_answer answer;
    int64_t wait_ns;
};

/* ---- the URL ---- */

static enum err read_headers(struct post *p, const struct url *url)
{
    for (unsigned i = 0; i < url->n_params; i++) {
        struct str v = url->param[i].value;
        size_t colon = str_find_byte(v, ':', 0);
        if (!str_eq_c(url->param[i].name, "header"))
            continue;
        if (colon == 0 || colon >= v.n)
            return err_set(ERR_INVALID, "header=: Name:value is wanted");
        buf_put_str(&p->headers, str_trim(str_of(v.p, colon)));
        buf_put_byte(&p->headers, '\0');
        buf_put_str(&p->headers, str_trim(str_from(v, colon + 1)));
        buf_put_byte(&p->headers, '\0');
    }
    for (size_t i = 0; i < p->headers.n; i++)
        if (p->headers.p[i] == '\r' || p->headers.p[i] == '\n')
            return err_set(ERR_INVALID, "header=: a line ends within it");
    return OK;
}

static enum err read_url(struct post *p, const struct url *url, struct peer *peer)
{
    struct str compress = url_get(url, "compress"), token = url_get(url, "token");
    TRY(peer_read(url, p->kind->default_port, peer));
    TRY(read_headers(p, url));
    p->gzip = compress.p ? str_eq_c(compress, "gzip") : p->kind->gzip;
    if (compress.p && !p->gzip && !str_eq_c(compress, "none"))
        return err_set(ERR_INVALID, "compress=%.*s: gzip or none is wanted", STR_ARG(compress));
    if (token.n)
        p->token = mem_printf("Bearer %.*s", STR_ARG(token));
    p->timeout_ms = peer->timeout_ms;
    return OK;
}

static enum err open_client(struct post *p, const struct url *url, const struct peer *peer)
{
    struct buf base;
    bool tls = p->kind->scheme_tls ? str_starts(url->scheme, STR("https"))
                                   : str_ends(url->scheme, STR("+tls"));
    buf_init(&base, SIZE_MAX);
    buf_put_c(&base, tls ? "https://" : "http://");
    peer_put_host(peer->host, &base);
    buf_printf(&base, ":%u", url->has_port || !p->kind->scheme_tls ? peer->port : tls ? 443 : 80);
    buf_put_byte(&base, '\0');
    char *user =
        url->user.n ? mem_printf("%.*s:%.*s", STR_ARG(url->user), STR_ARG(url->password)) : NULL;
    enum err err = http_client_new(base.p, user, &p->client);
    mem_free(user);
    buf_release(&base);
    if (err == OK && tls)
        peer_secure(peer, p->client);
    return err;
}

enum err post_new(const struct url *url, const struct post_kind *kind, void *ctx, struct post **ret)
{
    struct post *p = NEW(struct post);
    struct peer peer;
    p->kind = kind;
    p->ctx = ctx;
    p->rows_max = UINT32_MAX;
    buf_init(&p->headers, SIZE_MAX);
    buf_init(&p->text, SIZE_MAX);
    buf_init(&p->body, SIZE_MAX);
    buf_init(&p->packed, SIZE_MAX);
    buf_init(&p->answer.body, ANSWER_MAX);
    arena_init(&p->reasons, 0, NULL);
    p->path =
        kind->path ? mem_strdup(str_c(kind->path)) : mem_strdup(url->path.n ? url->path : STR("/"));
    enum err err = read_url(p, url, &peer);
    if (err == OK)
        err = open_client(p, url, &peer);
    if (err != OK) {
        post_free(p);
        return err;
    }
    *ret = p;
    return OK;
}

void post_free(struct post *p)
{
    if (!p)
        return;
    http_client_free(p->client);
    buf_release(&p->headers);
    buf_release(&p->text);
    buf_release(&p->body);
    buf_release(&p->packed);
    buf_release(&p->answer.body);
    arena_release(&p->reasons);
    mem_free(p->piece);
    mem_free(p->path);
    mem_free(p->token);
    mem_free(p);
}

/* ---- a bulk as pieces ---- */

static enum err add_piece(void *ctx, const struct output_row *row)
{
    struct post *p = ctx;
    uint32_t group = 0;
    size_t from = p->text.n;
    TRY(p->kind->put_row(p->ctx, row, &p->text, &group));
    ARRAY_GROW(p->piece, p->pieces_cap, p->n + 1);
    p->piece[p->n++] = (struct post_piece){.item = row->item,
                                           .row = row->row,
                                           .group = group,
                                           .time_ns = row->time_ns,
                                           .from = from,
                                           .n = p->text.n - from};
    return OK;
}

static enum err add_pieces(void *ctx, uint32_t item, struct rows *rows, struct arena *a)
{
    struct post *p = ctx;
    struct output_row row = {.item = item, .stream = rows->stream, .rows = rows};
    const int64_t *time;
    TRY(rows_time(rows, &time));
    TRY(p->kind->begin_item(p->ctx, rows, a));
    for (; row.row < rows->n; row.row++) {
        row.time_ns = time[row.row];
        TRY(add_piece(p, &row));
    }
    return OK;
}

static bool is_at_hand(const struct post *p, const struct output_bulk *b)
{
    return p->written && b->producer == p->bulk.producer && b->epoch == p->bulk.epoch &&
           b->n == p->bulk.n && b->rows == p->bulk.rows && b->bytes == p->bulk.bytes &&
           (!b->n || b->item[0].sequence == p->first_sequence);
}

static enum err write_pieces(struct post *p, const struct output_bulk *bulk)
{
    p->written = false;
    p->n = 0;
    buf_clear(&p->text);
    arena_reset(&p->reasons);
    if (p->kind->begin)
        p->kind->begin(p->ctx, bulk);
    if (p->kind->begin_item)
        TRY(output_each_item(bulk, add_pieces, p));
    else
        TRY(output_each_row(bulk, add_piece, p));
    p->bulk = *bulk;
    p->first_sequence = bulk->n ? bulk->item[0].sequence : 0;
    p->written = true;
    return OK;
}

/* ---- a request ---- */

void post_header(struct post *p, const char *name, const char *value)
{
    http_client_header(p->client, name, value);
}

static void begin_request(struct post *p, const char *method, const char *path,
                          const char *content_type)
{
    http_client_begin(p->client, method, path);
    http_client_header(p->client, "Content-Type", content_type);
    if (p->token)
        http_client_header(p->client, "Authorization", p->token);
    for (size_t at = 0; at < p->headers.n;) {
        const char *name = p->headers.p + at, *value = name + strlen(name) + 1;
        http_client_header(p->client, name, value);
        at = (size_t)(value - p->headers.p) + strlen(value) + 1;
    }
}

enum err post_request(struct post *p, const char *method, const char *path,
                      const char *content_type, struct str body, unsigned *ret_status,
                      struct str *ret_answer)
{
    begin_request(p, method, path, content_type);
    TRY(http_client_send(p->client, body, p->timeout_ms, NULL, NULL, &p->answer));
    *ret_status = p->answer.status;
    *ret_answer = buf_str(&p->answer.body);
    return OK;
}

static struct str start_of(struct str answer)
{
    struct str s = str_trim(answer);
    return s.n > REASON_MAX ? str_of(s.p, REASON_MAX) : s;
}

/* ERR_INVALID: the peer refuses the body. */
static enum err judge_status(unsigned status, struct str answer)
{
    struct str said = start_of(answer);
    enum err err = ERR_UNAVAILABLE;
    if (status / 100 == 2)
        return OK;
    if (status == 400 || status == 413 || status == 422)
        err = ERR_INVALID;
    else if (status == 401 || status == 403)
        err = ERR_AUTH;
    return err_set(err, "the server answered %u%s%.*s", status,
                   said.n            ? ": "
                   : err == ERR_AUTH ? ": are user and password right?"
                                     : "",
                   STR_ARG(said));
}

void post_refuse(struct post *p, const struct post_part *part, uint32_t i, struct str reason)
{
    struct post_piece *piece = &part->piece[part->at[i]];
    piece->state = PIECE_REFUSED;
    piece->reason = arena_str(&p->reasons, start_of(reason)).p;
}

static uint32_t count_open(const struct post_part *part)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < part->n; i++)
        n += part->piece[part->at[i]].state == PIECE_OPEN;
    return n;
}

static enum err judge_taken(struct post *p, const struct post_part *part, struct str answer)
{
    for (uint32_t i = 0; i < part->n; i++)
        part->piece[part->at[i]].state = PIECE_TAKEN;
    enum err err = p->kind->judge ? p->kind->judge(p->ctx, p, part, answer) : OK;
    if (err != OK)
        for (uint32_t i = 0; i < part->n; i++)
            part->piece[part->at[i]].state = PIECE_OPEN;
    return err;
}

/* The peer's pace decides how many rows the next body has. */
static void follow_pace(struct post *p, uint32_t n, int64_t ms, bool busy)
{
    if (busy || ms > SLOW_MS)
        p->rows_max = n / 2 > ROWS_MIN ? n / 2 : ROWS_MIN;
    else if (ms < QUICK_MS && n >= p->rows_max)
        p->rows_max = p->rows_max < UINT32_MAX / 2 ? p->rows_max * 2 : UINT32_MAX;
}

static enum err send_once(struct post *p, const struct post_part *part)
{
    int64_t began = clock_mono_ns();
    buf_clear(&p->body);
    p->kind->put_body(p->ctx, part, &p->body);
    if (p->gzip)
        TRY(gzip_pack(buf_str(&p->body), &p->packed));
    begin_request(p, "POST", p->path, p->kind->content_type);
    if (p->gzip)
        http_client_header(p->client, "Content-Encoding", "gzip");
    if (p->kind->put_headers)
        p->kind->put_headers(p->ctx, p, part);
    enum err err = http_client_send(p->client, buf_str(p->gzip ? &p->packed : &p->body),
                                    p->timeout_ms, NULL, NULL, &p->answer);
    unsigned status = err == OK ? p->answer.status : 0;
    if (err == OK) {
        p->wait_ns = p->answer.retry_after_s * NS_PER_S;
        err = judge_status(status, buf_str(&p->answer.body));
    }
    if (err == OK)
        err = judge_taken(p, part, buf_str(&p->answer.body));
    bool busy = err == ERR_TIMEOUT || status == 429 || status == 503;
    if (err == OK || !p->kind->keyed)
        follow_pace(p, part->n, (clock_mono_ns() - began) / NS_PER_MS,
                    busy || (err == OK && count_open(part)));
    return err;
}

/* Until each row of the part is settled, or one cannot be now. */
static enum err send_part(struct post *p, const struct post_part *part)
{
    enum err err = send_once(p, part);
    if (err == OK) {
        uint32_t open = count_open(part);
        return open ? err_set(ERR_UNAVAILABLE, "the server is too busy for %u of %u records", open,
                              part->n)
                    : OK;
    }
    if (err != ERR_INVALID)
        return err;
    if (part->n == 1) {
        post_refuse(p, part, 0, str_c(err_text()));
        return OK;
    }
    struct post_part half = *part;
    half.n = part->n / 2;
    TRY(send_part(p, &half));
    half.at = part->at + half.n;
    half.n = part->n - half.n;
    return send_part(p, &half);
}

/* Takes the next open pieces that fit into a body. */
static uint32_t next_part(const struct post *p, uint32_t *at, uint32_t *from)
{
    uint32_t n = 0;
    size_t bytes = 0;
    for (; *from < p->n && n < p->rows_max; ++*from) {
        const struct post_piece *piece = &p->piece[*from];
        if (piece->state != PIECE_OPEN)
            continue;
        if (n && bytes + piece->n > BODY_BYTES)
            break;
        bytes += piece->n;
        at[n++] = *from;
    }
    return n;
}

static uint32_t count_settled(const struct post *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        n += p->piece[i].state != PIECE_OPEN;
    return n;
}

static enum err send_open(struct post *p)
{
    uint32_t *at = NEW_ARRAY(uint32_t, p->n + 1), from = 0;
    struct post_part part = {.piece = p->piece, .at = at, .text = buf_str(&p->text)};
    enum err err = OK;
    while (err == OK && (part.n = next_part(p, at, &from)))
        err = send_part(p, &part);
    mem_free(at);
    return err;
}

enum err post_send(struct output *o, const struct output_bulk *bulk, int64_t *ret_wait_ns)
{
    struct post *p = ((struct post_output *)o)->post;
    p->wait_ns = 0;
    if (!p->greeted && p->kind->greet)
        TRY(p->kind->greet(p->ctx, p));
    p->greeted = true;
    if (!is_at_hand(p, bulk))
        TRY(write_pieces(p, bulk));
    uint32_t settled = count_settled(p);
    enum err err = send_open(p);
    if (err != OK) {
        *ret_wait_ns = p->wait_ns;
        if (bulk->moved)
            *bulk->moved = count_settled(p) > settled;
        return err;
    }
    for (uint32_t i = 0; i < p->n; i++)
        if (p->piece[i].state == PIECE_REFUSED)
            bulk->refuse(bulk->ctx, p->piece[i].item, p->piece[i].row, p->piece[i].reason);
    p->written = false;
    return OK;
}

/* ---- for tests ---- */

static uint32_t *all_of(const struct post *p)
{
    uint32_t *at = NEW_ARRAY(uint32_t, p->n + 1);
    for (uint32_t i = 0; i < p->n; i++)
        at[i] = i;
    return at;
}

enum err post_write(struct post *p, const struct output_bulk *bulk, struct buf *out)
{
    TRY(write_pieces(p, bulk));
    uint32_t *at = all_of(p);
    struct post_part part = {p->piece, at, p->n, buf_str(&p->text)};
    p->kind->put_body(p->ctx, &part, out);
    mem_free(at);
    return OK;
}

enum err post_judge(struct post *p, unsigned status, struct str answer)
{
    uint32_t *at = all_of(p);
    struct post_part part = {p->piece, at, p->n, buf_str(&p->text)};
    enum err err = judge_status(status, answer);
    if (err == OK)
        err = judge_taken(p, &part, answer);
    mem_free(at);
    return err;
}

uint32_t post_pieces(const struct post *p, const struct post_piece **ret)
{
    *ret = p->piece;
    return p->n;
}
