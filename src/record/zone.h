/* Time zones of times that name none: a fixed offset, or a place by the machine's tzdata (TZif,
 * RFC 8536). A time that was twice (clocks put back) is taken for the first; one that never was
 * (put forward) is read by the clocks behind the change.
 * Threads: a zone is immutable, any. Bounds: a file of 256 KiB. */
#ifndef WEIR_RECORD_ZONE_H
#define WEIR_RECORD_ZONE_H

#include "core/err.h"
#include "core/str.h"

struct zone;
/* "", "UTC", "Z", "GMT"; "+05:30", "-0800", "+02"; "Europe/Berlin", looked for below $TZDIR or
 * /usr/share/zoneinfo. ERR_INVALID: there is none. */
NODISCARD enum err zone_new(struct str name, struct zone **ret);
void zone_free(struct zone *z); /* NULL is fine */
/* Seconds since 1970 on the zone's clocks -> those of UTC. */
int64_t zone_utc(const struct zone *z, int64_t local);

/* The zone in the bytes of a TZif file. ERR_CORRUPT. */
NODISCARD enum err zone_read(struct str tzif, struct zone **ret);

#endif
