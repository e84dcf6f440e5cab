/* The words of SQL as MySQL and MariaDB have it. For sql_digest.c. */
#ifndef WEIR_TRANSFORM_SQL_WORDS_H
#define WEIR_TRANSFORM_SQL_WORDS_H

#include "core/str.h"

enum sql_word {
    SQL_NAME,     /* no word of the language */
    SQL_KEYWORD,  /* always */
    SQL_FUNCTION, /* where "(" follows */
    SQL_UNIT,     /* where a value is before it, or "(" follows */
    SQL_TAIL,     /* behind some keywords: LEVEL, MODE */
};
enum { SQL_WORD_MAX = 32 };
/* `upper`: in capitals. */
enum sql_word sql_word_of(struct str upper);

#endif
