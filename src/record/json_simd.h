/* The seam to simdjson and to what else only C++ has. Owner: a json_reader; threads: its own. */
#ifndef WEIR_RECORD_JSON_SIMD_H
#define WEIR_RECORD_JSON_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct json_simd;

enum json_scan {
    JSON_SCAN_OK,
    JSON_SCAN_EMPTY,   /* nothing but white space */
    JSON_SCAN_UTF8,    /* bad UTF-8 somewhere */
    JSON_SCAN_OPEN,    /* a string is not closed */
    JSON_SCAN_CONTROL, /* a control character in a string */
    JSON_SCAN_MEMORY,
};

struct json_simd *json_simd_new(void); /* NULL without memory */
void json_simd_free(struct json_simd *s);
/* Finds the offsets of all brackets, colons, commas, opening quotes and first bytes of other
 * scalars that are outside strings. The list is valid until the next call and ends with two
 * sentinels of value n, not counted in *ret_count. n < 4 GiB. */
enum json_scan json_simd_scan(struct json_simd *s, const char *p, size_t n,
                              const uint32_t **ret_list, uint32_t *ret_count);
bool json_simd_utf8(const char *p, size_t n);

#ifdef __cplusplus
}
#endif

#endif
