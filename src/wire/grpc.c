#include "wire/grpc.h"

#include "wire/decode.h"

enum { HEAD = 5 };

enum err grpc_message(struct str body, struct str encoding, struct buf *plain, struct str *ret)
{
    const uint8_t *p = (const uint8_t *)body.p;
    if (body.n < HEAD)
        return err_set(ERR_INVALID, "a message of 5 bytes at least is wanted, there are %zu",
                       body.n);
    uint64_t n = (uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 8 | p[4];
    if (p[0] > 1 || n != body.n - HEAD)
        return err_set(ERR_INVALID, "one message is wanted: its head says %llu bytes, %zu follow",
                       (unsigned long long)n, body.n - HEAD);
    *ret = str_from(body, HEAD);
    if (!p[0])
        return OK;
    if (!encoding.n || str_eq(encoding, STR("identity")))
        return err_set(ERR_INVALID, "a compressed message needs grpc-encoding");
    buf_clear(plain);
    TRY(wire_inflate(encoding, *ret, plain));
    *ret = buf_str(plain);
    return OK;
}

void grpc_put(struct str message, struct buf *out)
{
    buf_put_byte(out, '\0');
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_put_byte(out, (char)(message.n >> shift));
    buf_put_str(out, message);
}

void grpc_put_text(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x20 || c > 0x7e || c == '%')
            buf_printf(out, "%%%02X", c);
        else
            buf_put_byte(out, (char)c);
    }
}
