/* XML of AWS's answers, by expat: an element's name and text, one after the other. Document types
 * are refused (and so entities of their own). Bounds: depth XML_DEPTH_MAX; the text of an element
 * is bounded by that of the body. Threads: pure functions.
 *
 * Log text in an answer may hold what XML 1.0 forbids: control characters, raw or as references,
 * and bytes that are no UTF-8. The body is mended first: each such byte (and a raw carriage return,
 * which XML would take away) becomes a character of a private plane, and is that byte again in what
 * `close` is given. So every byte arrives. */
#ifndef WEIR_AWS_XML_H
#define WEIR_AWS_XML_H

#include "core/buf.h"

enum { XML_DEPTH_MAX = 64 };
struct xml_calls {
    void *ctx;
    void (*open)(void *ctx, struct str name); /* may be NULL */
    /* The text is that of the element without its children's, not trimmed. */
    enum err (*close)(void *ctx, struct str name, struct str text);
};
/* ERR_INVALID with line and column; or what close answered. */
NODISCARD enum err xml_read(struct str body, const struct xml_calls *calls);
/* The first element `name`'s text, cut to n - 1 bytes; false when there is none. */
bool xml_find(struct str body, const char *name, char *out, size_t n);

#endif
