/* Sketches for aggregates: quantiles and distinct counts, mergeable.
 * Both are exact while small. Owner: one thread at a time; memory is mem.h's, freed by release. */
#ifndef WEIR_QUERY_SKETCH_H
#define WEIR_QUERY_SKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Merging t-digest (Dunning and Ertl, "Computing Extremely Accurate Quantiles Using t-Digests",
 * 2019), scale function k1. Up to QUANTILE_EXACT values it holds them all and answers exactly
 * (nearest rank); beyond, the error is well below 1 % of rank. */
#define QUANTILE_EXACT 4096
struct quantile {
    double *value;  /* exact: values; else centroid means, ascending */
    double *weight; /* NULL while exact */
    uint32_t n, cap;
    uint32_t sorted; /* centroids at the front that are merged; the rest are fresh */
    double total, min, max;
};
void quantile_add(struct quantile *q, double v);
void quantile_merge(struct quantile *into, const struct quantile *from);
/* Of a digest whose centroids are runs of equal values, ascending, weighed by their numbers: where
 * `into` holds few values enough, it gets them one by one and stays exact. */
void quantile_merge_runs(struct quantile *into, const struct quantile *runs);
double quantile_get(struct quantile *q, double phi); /* NaN when empty */
/* As few centroids as the digest needs, for who keeps it; while exact its values are put in
 * order. */
void quantile_settle(struct quantile *q);
void quantile_release(struct quantile *q);
size_t quantile_bytes(const struct quantile *q);

/* Distinct values by their 64-bit hashes: a set up to DISTINCT_EXACT, beyond it a HyperLogLog of
 * 2^16 registers with Ertl's estimator ("New cardinality estimation algorithms for HyperLogLog
 * sketches", 2017): standard error 0.41 %. */
#define DISTINCT_EXACT 8192
struct distinct {
    uint64_t *hash; /* open addressing; 0 is empty */
    uint8_t *reg;   /* NULL while exact */
    uint32_t n, cap;
};
void distinct_add(struct distinct *d, uint64_t hash);
void distinct_merge(struct distinct *into, const struct distinct *from);
uint64_t distinct_count(const struct distinct *d);
void distinct_release(struct distinct *d);
size_t distinct_bytes(const struct distinct *d);

#endif
