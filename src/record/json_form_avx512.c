/* Records of a form put 64 bytes at a time; this file alone is compiled for AVX-512 with BW
 * (CMakeLists.txt). */
#include "record/json_form.h"

#ifdef __AVX512BW__
#include "record/json_form_put.h"

#include <immintrin.h>

static inline uint64_t put_step(char *to, const char *p)
{
    __m512i v = _mm512_loadu_si512(p);
    _mm512_storeu_si512(to, v);
    return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"')) |
           _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')) |
           _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20));
}

static inline struct put_marks put_marks(const char *p)
{
    __m512i v = _mm512_loadu_si512(p);
    return (struct put_marks){_mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"')),
                              _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')),
                              _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20))};
}

const char *json_form_put_avx512(const struct json_form *f, const char *p, const char *end,
                                 struct json_likes *l)
{
    return put_records(f, p, end, l);
}
#endif
