/* Lines that belong together: which line begins a record, and which goes on with the one before.
 * Stack traces of Java, Python, Go and .NET, MySQL's slow log, or a regular expression of one's
 * own.
 * Threads: a multiline is immutable, any; a state is one file's. */
#ifndef WEIR_TRANSFORM_MULTILINE_H
#define WEIR_TRANSFORM_MULTILINE_H

#include "core/err.h"
#include "core/str.h"

struct multiline;
/* "java", "python", "go", "dotnet", "mysql", "mysql_error"; "begins:REGEX" (a line that matches
 * begins a record) or "continues:REGEX" (a line that matches goes on with the one before).
 * ERR_INVALID says what is wrong, and with a regular expression where. */
NODISCARD enum err multiline_new(struct str kind, struct multiline **ret);
void multiline_free(struct multiline *m);

struct multiline_state {
    bool within; /* of a block whose lines do not tell by themselves */
};
/* Whether `line` goes on with the record before it; called for every line in order. */
bool multiline_continues(const struct multiline *m, struct multiline_state *s, struct str line);

#endif
