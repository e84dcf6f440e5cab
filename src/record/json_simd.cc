/* What the JSON reader takes from simdjson: its first stage, chosen by the machine at run time,
 * which finds the structure of a text at several GB/s and checks strings and UTF-8 on the way; the
 * grammar is json_read.c's. And the shortest text of doubles, which C17 has not.
 *
 * The first stage wants room for an index a byte: it starts at 64 KiB of text and doubles with what
 * it meets; what a rare large record took is given back with the next small one. */
#include "record/json_simd.h"

#include <charconv>
#include <memory>
#include <new>
#include <simdjson.h>

struct json_simd {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> stage;
};

static constexpr size_t capacity_min = 64 << 10, capacity_kept = 1 << 20;

struct json_simd *json_simd_new(void)
{
    auto s = new (std::nothrow) json_simd;
    if (s && simdjson::get_active_implementation()->create_dom_parser_implementation(
                 capacity_min, 1, s->stage) != simdjson::SUCCESS) {
        delete s;
        return nullptr;
    }
    return s;
}

void json_simd_free(struct json_simd *s)
{
    delete s;
}

static bool fit_capacity(struct json_simd *s, size_t n)
{
    size_t have = s->stage->capacity();
    if (n <= have && (have <= capacity_kept || n > capacity_kept / 2))
        return true;
    size_t want = capacity_min;
    while (want < n)
        want *= 2;
    return s->stage->set_capacity(want) == simdjson::SUCCESS;
}

enum json_scan json_simd_scan(struct json_simd *s, const char *p, size_t n,
                              const uint32_t **ret_list, uint32_t *ret_count)
{
    if (!fit_capacity(s, n))
        return JSON_SCAN_MEMORY;
    switch (
        s->stage->stage1(reinterpret_cast<const uint8_t *>(p), n, simdjson::stage1_mode::regular)) {
    case simdjson::SUCCESS:
        break;
    case simdjson::EMPTY:
        return JSON_SCAN_EMPTY;
    case simdjson::UTF8_ERROR:
        return JSON_SCAN_UTF8;
    case simdjson::UNCLOSED_STRING:
        return JSON_SCAN_OPEN;
    case simdjson::UNESCAPED_CHARS:
        return JSON_SCAN_CONTROL;
    default:
        return JSON_SCAN_MEMORY;
    }
    *ret_list = s->stage->structural_indexes.get();
    *ret_count = s->stage->n_structural_indexes;
    return JSON_SCAN_OK;
}

bool json_simd_utf8(const char *p, size_t n)
{
    return simdjson::validate_utf8(p, n);
}

extern "C" size_t json_double_text(double v, char *out)
{
    return static_cast<size_t>(std::to_chars(out, out + 32, v).ptr - out);
}
