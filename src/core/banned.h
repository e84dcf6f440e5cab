/* Calls that must not appear: each has an own twin. Included by force before every C file of src/.
 */
#ifndef WEIR_CORE_BANNED_H
#define WEIR_CORE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Macros in some C libraries: to poison a macro is a warning. */
#undef alloca
#undef sprintf
#undef vsprintf
#undef strncpy
#undef strncat
#undef strcpy
#undef strcat

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atoll atof
#pragma GCC poison localtime gmtime ctime asctime tmpnam mktemp alloca system popen

/* OpenSSL's headers have parameters of this name, so it cannot be poisoned; calls are no C. */
#define rand() (banned_use_random_u64_of_core_clock_h)
#define srand(seed) (banned_use_random_seed_of_core_clock_h)

#endif
