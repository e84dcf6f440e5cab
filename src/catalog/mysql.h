/* What the driver for MySQL and MariaDB is made of: libmariadb, loaded when it is first needed, and
 * what a URL says of a server. Threads: libmariadb_load any; the rest by one at a time. */
#ifndef WEIR_CATALOG_MYSQL_H
#define WEIR_CATALOG_MYSQL_H

#include "core/arena.h"
#include "core/err.h"

/* What is used of the library's interface (libmariadb.so.3; its headers are not needed to build).
 */
typedef struct st_mysql MYSQL;
typedef struct st_mysql_res MYSQL_RES;
typedef char **MYSQL_ROW;
typedef char my_bool;
enum mysql_option {
    MYSQL_OPT_CONNECT_TIMEOUT = 0,
    MYSQL_SET_CHARSET_NAME = 7,
    MYSQL_OPT_LOCAL_INFILE = 8,
    MYSQL_OPT_PROTOCOL = 9,
    MYSQL_OPT_READ_TIMEOUT = 11,
    MYSQL_OPT_WRITE_TIMEOUT = 12,
    MYSQL_OPT_RECONNECT = 20,
    MYSQL_OPT_SSL_VERIFY_SERVER_CERT = 21,
    MYSQL_OPT_SSL_KEY = 25,
    MYSQL_OPT_SSL_CERT = 26,
    MYSQL_OPT_SSL_CA = 27,
    MYSQL_OPT_CONNECT_ATTR_ADD = 33,
    MYSQL_OPT_SSL_ENFORCE = 38,
    MARIADB_OPT_RESTRICTED_AUTH = 7026,
};
enum { MYSQL_PROTOCOL_TCP = 1, MYSQL_PROTOCOL_SOCKET = 2 };
enum { CLIENT_FOUND_ROWS = 2, CLIENT_MULTI_STATEMENTS = 1 << 16 };
enum { SERVER_STATUS_IN_TRANS = 1 };
enum mariadb_value { MARIADB_CONNECTION_SERVER_STATUS = 30 };

#define LIBMARIADB_FUNCTIONS(X)                                                                    \
    X(my_bool, mariadb_connection, (MYSQL *))                                                      \
    X(my_bool, mariadb_get_infov, (MYSQL *, enum mariadb_value, void *, ...))                      \
    X(unsigned long long, mysql_affected_rows, (MYSQL *))                                          \
    X(void, mysql_close, (MYSQL *))                                                                \
    X(unsigned, mysql_errno, (MYSQL *))                                                            \
    X(const char *, mysql_error, (MYSQL *))                                                        \
    X(unsigned long *, mysql_fetch_lengths, (MYSQL_RES *))                                         \
    X(MYSQL_ROW, mysql_fetch_row, (MYSQL_RES *))                                                   \
    X(unsigned, mysql_field_count, (MYSQL *))                                                      \
    X(void, mysql_free_result, (MYSQL_RES *))                                                      \
    X(char *, mysql_get_server_info, (MYSQL *))                                                    \
    X(unsigned long, mysql_get_server_version, (MYSQL *))                                          \
    X(const char *, mysql_get_ssl_cipher, (MYSQL *))                                               \
    X(MYSQL *, mysql_init, (MYSQL *))                                                              \
    X(my_bool, mysql_more_results, (MYSQL *))                                                      \
    X(int, mysql_next_result, (MYSQL *))                                                           \
    X(int, mysql_options, (MYSQL *, enum mysql_option, const void *))                              \
    X(int, mysql_options4, (MYSQL *, enum mysql_option, const void *, const void *))               \
    X(MYSQL *, mysql_real_connect,                                                                 \
      (MYSQL *, const char *host, const char *user, const char *password, const char *database,    \
       unsigned port, const char *socket, unsigned long flags))                                    \
    X(int, mysql_real_query, (MYSQL *, const char *, unsigned long))                               \
    X(int, mysql_server_init, (int, char **, char **))                                             \
    X(MYSQL_RES *, mysql_use_result, (MYSQL *))
struct libmariadb {
#define X(type, name, args) type(*name) args;
    LIBMARIADB_FUNCTIONS(X)
#undef X
};
/* ERR_UNSUPPORTED: the machine has none, or one that is too old. */
NODISCARD enum err libmariadb_load(const struct libmariadb **ret);

enum { MY_PLACES_MAX = 16 };
struct my_target {
    struct my_place {
        const char *host;
        unsigned port;
    } place[MY_PLACES_MAX]; /* the first that takes writes is taken */
    unsigned n_places;
    const char *plain; /* the URL without user and parameters */
    const char *user, *password, *database;
    const char *socket;        /* NULL: by TCP */
    const char *password_file; /* read at each connection; NULL: none */
    const char *ca, *cert, *key;
    bool tls, trust_anyone;
    unsigned connect_s;
};
/* mysql://user:password@host:port/database?parameters, mysql+tls://... Connects to nothing.
 * ERR_INVALID says what is wrong, without the password. Lives in the arena. */
NODISCARD enum err my_target_read(struct str url, struct arena *a, struct my_target *ret);

#endif
