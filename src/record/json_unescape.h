/* What an escape stands for, for the loops that look for them; json_unescape of json.h is for all
 * others. Threads: pure functions. */
#ifndef WEIR_RECORD_JSON_UNESCAPE_H
#define WEIR_RECORD_JSON_UNESCAPE_H

#include "core/str.h"

/* What stands for itself or another byte behind a backslash; 0: nothing by itself. */
extern const char json_escapes[128];

/* The escape at *p (a backslash) to *to, both moved; false when it is none. */
bool json_unescape_one(const char **p, const char *end, char **to);

/* The twins behind json_unescape: on any machine, and 64 bytes at a time by AVX-512 VBMI2. */
bool json_unescape_plain(struct str inside, char *to, size_t *ret_n, size_t *ret_bad);
bool json_unescape_avx512(struct str inside, char *to, size_t *ret_n, size_t *ret_bad);

#ifdef __x86_64__
/* Who has the first has the others, but what a machine is run in may hide any. */
static inline bool json_has_avx512(void)
{
    return __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2");
}
#endif

#endif
