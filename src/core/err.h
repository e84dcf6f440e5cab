/* Operating errors are values of `enum err`; programmer errors crash (CHECK, BUG).
 *
 * A failing function returns a negative code and leaves, per thread, one detail: what failed, to
 * what, and why, in words for the user. Whoever decides what to do about it reads err_text() before
 * the next failing call on the same thread. Outputs are named ret_x and untouched on failure.
 * Threads: any; the detail is thread-local. */
#ifndef WEIR_CORE_ERR_H
#define WEIR_CORE_ERR_H

enum err {
    OK = 0,
    ERR_NOMEM = -1,   /* the governor or the allocator refused */
    ERR_IO = -2,      /* a system call failed; errno is in the text */
    ERR_FULL = -3,    /* no space left on the device */
    ERR_CORRUPT = -4, /* stored bytes fail their checksum or their structure */
    ERR_INVALID = -5, /* the caller's input is wrong; the text says where */
    ERR_LIMIT = -6,   /* a documented limit was exceeded; the text names it */
    ERR_NOTFOUND = -7,
    ERR_EXISTS = -8,
    ERR_CONFLICT = -9,     /* a compare-and-swap lost */
    ERR_UNAVAILABLE = -10, /* try again later */
    ERR_TIMEOUT = -11,
    ERR_CANCELED = -12,
    ERR_UNSUPPORTED = -13,
    ERR_AUTH = -14,
    ERR_EOF = -15,
    ERR_AGAIN = -16,
};

/* Records the detail and returns `code`. Never allocates. Compilers and analysers see that what
 * comes back is `code`, and so that a function that failed did fail. */
#define err_set(code, ...)                                                                         \
    ({                                                                                             \
        const enum err err_code_ = (code);                                                         \
        (void)err_set_at(__FILE__, __LINE__, err_code_, __VA_ARGS__);                              \
        err_code_;                                                                                 \
    })
/* The same, with strerror(errno) appended; ENOSPC and EDQUOT become ERR_FULL. */
#define err_set_errno(...)                                                                         \
    (err_set_errno_at(__FILE__, __LINE__, __VA_ARGS__) == ERR_FULL ? ERR_FULL : ERR_IO)

enum err err_set_at(const char *file, int line, enum err code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5), cold));
enum err err_set_errno_at(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));
/* The last detail of this thread; valid until its next err_set. */
const char *err_text(void);
/* The short name of a code, such as "corrupt". */
const char *err_name(enum err code);

#define NODISCARD __attribute__((warn_unused_result))

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum err try_err_ = (expr);                                                                \
        if (try_err_ != OK)                                                                        \
            return try_err_;                                                                       \
    } while (0)

/* For functions with an `out:` label and a local `enum err err`. */
#define TRY_OUT(expr)                                                                              \
    do {                                                                                           \
        err = (expr);                                                                              \
        if (err != OK)                                                                             \
            goto out;                                                                              \
    } while (0)

_Noreturn void err_bug_at(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));
#define BUG(...) err_bug_at(__FILE__, __LINE__, __VA_ARGS__)
/* An invariant that holds in release builds too. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            err_bug_at(__FILE__, __LINE__, "check failed: %s", #cond);                             \
    } while (0)

#endif
