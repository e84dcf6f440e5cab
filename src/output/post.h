/* Outputs that post records by HTTP: what they have in common. One of them says how a row is
 * written, how rows make a body, and what an answer means (struct post_kind); this divides bulks
 * into bodies, sends them, and keeps the books of each row.
 *
 * A row that the peer has taken or refused is not sent again when the rest of its bulk is: the
 * output remembers the bulk until all of it is settled. (A restart forgets that.) A body that is
 * refused whole (400, 413, 422) is halved and sent again, down to the row that is to blame, which
 * alone becomes a dead letter. How many rows a body has follows the time the peer takes: over
 * SLOW_MS, or where it says that it is too busy, half; far below, twice.
 *
 *   user:password@         basic authentication;   token=T: "Authorization: Bearer T"
 *   header=Name:value      more headers, may be repeated
 *   compress=gzip|none
 * and those of output/peer.h.
 * Owner: the output; one thread. */
#ifndef WEIR_OUTPUT_POST_H
#define WEIR_OUTPUT_POST_H

#include "output/peer.h"
#include "pipeline/output.h"

#define POST_PARAMS PEER_PARAMS, "token", "header", "compress"

enum piece_state { PIECE_OPEN, PIECE_TAKEN, PIECE_REFUSED };
struct post_piece { /* a row */
    uint32_t item, row;
    uint32_t group; /* rows of one group stand together in a body; the kind's */
    uint8_t state;
    int64_t time_ns;
    size_t from, n;     /* its bytes in the text */
    const char *reason; /* why it was refused */
};
/* Rows of a body, in the order of the bulk. */
struct post_part {
    struct post_piece *piece;
    const uint32_t *at; /* which of them */
    uint32_t n;
    struct str text;
};
static inline struct str post_bytes(const struct post_part *p, uint32_t i)
{
    const struct post_piece *piece = &p->piece[p->at[i]];
    return str_of(p->text.p + piece->from, piece->n);
}

struct post;
/* Every output that posts begins with this. */
struct post_output {
    struct output base;
    struct post *post;
};
struct post_kind {
    const char *content_type, *path; /* path NULL: that of the URL */
    bool gzip, scheme_tls;           /* by default; TLS by the scheme (else: "+tls" at its end) */
    bool keyed; /* a body has a name, which must be the same when it is sent again: then its rows
                   must be, too, and only those behind one that was taken become smaller */
    unsigned default_port;
    /* A new bulk is to be written; may be NULL. */
    void (*begin)(void *ctx, const struct output_bulk *bulk);
    /* For a kind that reads the columns: put_row gets the rows of this item next, all of them in
     * order, and without their JSON. The arena is theirs. May be NULL. */
    enum err (*begin_item)(void *ctx, struct rows *rows, struct arena *a);
    /* Appends the row. */
    enum err (*put_row)(void *ctx, const struct output_row *row, struct buf *out,
                        uint32_t *ret_group);
    /* Appends the body. */
    void (*put_body)(void *ctx, const struct post_part *part, struct buf *out);
    /* More headers of a request; may be NULL. */
    void (*put_headers)(void *ctx, struct post *p, const struct post_part *part);
    /* A 2xx answer. Marks pieces refused (post_refuse) or leaves them PIECE_OPEN to be sent again;
     * before the call all are PIECE_TAKEN. May be NULL: all were taken. */
    enum err (*judge)(void *ctx, struct post *p, const struct post_part *part, struct str answer);
    /* Once, before the first body; errors are those of a send. May be NULL. */
    enum err (*greet)(void *ctx, struct post *p);
};

/* ctx is the output itself; kind and ctx must live as long as the post. */
NODISCARD enum err post_new(const struct url *url, const struct post_kind *kind, void *ctx,
                            struct post **ret);
void post_free(struct post *p); /* NULL is fine */
/* An output_type's send. */
enum err post_send(struct output *o, const struct output_bulk *bulk, int64_t *ret_wait_ns);
/* Refuses row i of the part; the reason is copied. */
void post_refuse(struct post *p, const struct post_part *part, uint32_t i, struct str reason);
void post_header(struct post *p, const char *name, const char *value);
/* One request of the kind's own. The answer's body is valid until the next call. */
NODISCARD enum err post_request(struct post *p, const char *method, const char *path,
                                const char *content_type, struct str body, unsigned *ret_status,
                                struct str *ret_answer);

/* For tests: the body of all rows, and what an answer to it makes of them. */
NODISCARD enum err post_write(struct post *p, const struct output_bulk *bulk, struct buf *out);
NODISCARD enum err post_judge(struct post *p, unsigned status, struct str answer);
uint32_t post_pieces(const struct post *p, const struct post_piece **ret);

#endif
