/* Calls that must not appear: each has an own twin. Included by force before every C file of src/.
 */
#ifndef WEIR_CORE_BANNED_H
#define WEIR_CORE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef alloca /* a macro of stdlib.h */

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atoll atof
#pragma GCC poison localtime gmtime ctime asctime tmpnam mktemp alloca rand srand system popen

#endif
