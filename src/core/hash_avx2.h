/* What hash.c has elsewhere, on machines with AVX2. Threads: any. */
#ifndef WEIR_CORE_HASH_AVX2_H
#define WEIR_CORE_HASH_AVX2_H

#include "core/str.h"

uint64_t hash64_avx2(struct str s);

#endif
