/* How fast a column of text is searched by regular expressions, beside ripgrep on the same lines:
 * `bench_regex FILE [PATTERN...]`. Each line of FILE is a value; columns are cut as blocks are. For
 * each pattern: GB of text a CPU second, the best of some rounds; the counts must agree. */
#include "record/bitmap.h"
#include "record/predicate.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define BLOCK_VALUES 65536

static const char *const usual[] = {
    "timeout",                             /* a literal alone */
    "after 9[0-9]{3} ms",                  /* a literal and more */
    "[a-z]+-[0-9]+ .*refused",             /* a literal behind */
    "error|fatal|refused|denied",          /* several literals */
    "(?i)connection (reset|refused)",      /* case folded */
    "(login|logout) .*(fail|denied)",      /* alternatives, twice */
    "[0-9]{1,3}(\\.[0-9]{1,3}){3}:[0-9]+", /* no literal of two bytes */
    "\\b[0-9a-f]{32}\\b",                  /* no literal at all */
    "[A-Z][a-z]+Exception",
    "\\d{5,}$",
    "^[^ ]+ [^ ]+ [^ ]+ [0-9]{4} ",
    "(\\w+)=\\1",
};

struct columns {
    struct values *v;
    size_t n, bytes;
};

static struct columns read_columns(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *line = NULL;
    size_t room = 0;
    struct columns c = {0};
    struct values *v = NULL;
    char *bytes = NULL;
    size_t have = 0, most = 0;
    uint32_t *off = NULL;
    if (!f) {
        perror(path);
        exit(1);
    }
    for (ssize_t n; (n = getline(&line, &room, f)) >= 0;) {
        n -= n > 0 && line[n - 1] == '\n';
        if (!v || v->n == BLOCK_VALUES || have + (size_t)n > UINT32_MAX) {
            c.v = realloc(c.v, (c.n + 1) * sizeof(*c.v));
            v = &c.v[c.n++];
            off = malloc((BLOCK_VALUES + 1) * sizeof(*off));
            off[0] = 0;
            bytes = NULL;
            have = most = 0;
            *v = (struct values){.lane = LANE_STR, .off = off};
        }
        if (have + (size_t)n > most) {
            most = (have + (size_t)n) * 2 + 4096;
            bytes = realloc(bytes, most);
            v->bytes = bytes;
        }
        memcpy(bytes + have, line, (size_t)n);
        have += (size_t)n;
        off[++v->n] = (uint32_t)have;
        c.bytes += (size_t)n;
    }
    free(line);
    fclose(f);
    return c;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* GB a second; *ret_hits: values that match. */
static double run_weir(const struct columns *c, const char *pattern, size_t *ret_hits)
{
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct arena a;
        struct predicate p;
        uint64_t bits[BLOCK_VALUES / 64];
        size_t hits = 0;
        double start = cpu_seconds();
        arena_init(&a, 0, NULL);
        enum err err = predicate_regex(&a, str_c(pattern), &p);
        for (size_t i = 0; err == OK && i < c->n; i++) {
            memset(bits, 0, sizeof(bits));
            err = predicate_match(&p, &c->v[i], bits);
            hits += bitmap_count(bits, c->v[i].n);
        }
        arena_release(&a);
        double speed = (double)c->bytes / 1e9 / (cpu_seconds() - start);
        best = speed > best ? speed : best;
        *ret_hits = err == OK ? hits : SIZE_MAX;
    }
    return best;
}

static double run_ripgrep(const struct columns *c, const char *path, const char *pattern,
                          size_t *ret_hits)
{
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int pipe_fd[2];
        char text[64] = {0};
        struct rusage usage;
        if (pipe(pipe_fd) != 0)
            exit(1);
        pid_t pid = fork();
        if (pid == 0) {
            dup2(pipe_fd[1], 1);
            close(2); /* what it says of patterns that it does not know */
            execlp("rg", "rg", "--no-config", "--engine=auto", "-j1", "-a", "--no-unicode", "-c",
                   "-e", pattern, path, (char *)NULL);
            _exit(127);
        }
        close(pipe_fd[1]);
        ssize_t n = read(pipe_fd[0], text, sizeof(text) - 1);
        close(pipe_fd[0]);
        wait4(pid, NULL, 0, &usage);
        double seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
        *ret_hits = n > 0 ? strtoull(text, NULL, 10) : 0;
        best = (double)c->bytes / 1e9 / seconds > best ? (double)c->bytes / 1e9 / seconds : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_regex FILE [PATTERN...]\n");
        return 2;
    }
    struct columns c = read_columns(argv[1]);
    const char *const *patterns = argc > 2 ? (const char *const *)argv + 2 : usual;
    size_t n = argc > 2 ? (size_t)argc - 2 : sizeof(usual) / sizeof(usual[0]);
    printf("%-40s %9s %10s %10s\n", "pattern", "matches", "weir GB/s", "rg GB/s");
    for (size_t i = 0; i < n; i++) {
        size_t hits, rg_hits;
        double weir = run_weir(&c, patterns[i], &hits);
        double rg = run_ripgrep(&c, argv[1], patterns[i], &rg_hits);
        printf("%-40s %9zu %10.2f %10.2f%s\n", patterns[i], hits, weir, rg,
               hits == rg_hits ? "" : "  COUNTS DIFFER");
    }
    return 0;
}
