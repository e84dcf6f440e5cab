/* Listening addresses. ":PORT" prefers an IPv6 socket that takes IPv4 too, and falls back to IPv4
 * where the kernel has no IPv6. */
#include "net/listen.h"

#include "core/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static enum err split(const char *address, char host[256], char port[8])
{
    struct str s = str_c(address);
    size_t colon = s.n;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    uint64_t number;
    if (colon == 0 || !str_to_u64(str_from(s, colon), &number) || number > 65535)
        return err_set(
            ERR_INVALID,
            "bad address \"%s\": write HOST:PORT, such as 127.0.0.1:5080, [::1]:5080 or :5080",
            address);
    struct str h = str_of(s.p, colon - 1);
    if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = str_of(h.p + 1, h.n - 2);
    else if (str_find_byte(h, ':', 0) < h.n)
        return err_set(ERR_INVALID,
                       "bad address \"%s\": write an IPv6 address in brackets: [::1]:5080",
                       address);
    if (h.n > 255)
        return err_set(ERR_INVALID, "bad address \"%s\": the name is too long", address);
    snprintf(host, 256, "%.*s", STR_ARG(h));
    snprintf(port, 8, "%u", (unsigned)number);
    return OK;
}

static enum err look_up(const char *address, int type, struct addrinfo **ret)
{
    char host[256], port[8];
    TRY(split(address, host, port));
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    if (host[0] == 0)
        hints.ai_family = AF_INET6;
    int failed = getaddrinfo(host[0] ? host : NULL, port, &hints, ret);
    if (failed && host[0] == 0) {
        hints.ai_family = AF_INET;
        failed = getaddrinfo(NULL, port, &hints, ret);
    }
    if (failed)
        return err_set(ERR_INVALID, "cannot look up \"%s\": %s", address, gai_strerror(failed));
    return OK;
}

static enum err open_one(const struct addrinfo *a, const char *address, int *ret_fd)
{
    int type = a->ai_socktype;
    int fd = socket(a->ai_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno("cannot make a socket for %s", address);
    int on = 1, off = 0;
    if (type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
        (type != SOCK_STREAM || listen(fd, 1024) == 0)) {
        *ret_fd = fd;
        return OK;
    }
    bool taken = errno == EADDRINUSE;
    (void)err_set_errno("cannot listen on %s", address);
    close(fd);
    return taken ? err_set(ERR_UNAVAILABLE, "cannot listen on %s: another program has this port",
                           address)
                 : ERR_IO;
}

static enum err open_socket(const char *address, int type, int *ret_fd)
{
    struct addrinfo *list;
    TRY(look_up(address, type, &list));
    enum err err = ERR_INVALID;
    for (const struct addrinfo *a = list; a && err != OK; a = a->ai_next)
        err = open_one(a, address, ret_fd);
    freeaddrinfo(list);
    return err;
}

enum err listen_open(const char *address, int *ret_fd)
{
    return open_socket(address, SOCK_STREAM, ret_fd);
}

enum err listen_open_datagram(const char *address, int *ret_fd)
{
    return open_socket(address, SOCK_DGRAM, ret_fd);
}

void listen_name(int fd, char *out, size_t n)
{
    struct sockaddr_storage s = {0};
    socklen_t size = sizeof(s);
    char host[INET6_ADDRSTRLEN] = "";
    snprintf(out, n, "?");
    if (getsockname(fd, (struct sockaddr *)&s, &size) != 0)
        return;
    if (s.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&s;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        bool any = v4->sin_addr.s_addr == htonl(INADDR_ANY);
        snprintf(out, n, "%s:%u", any ? "127.0.0.1" : host, ntohs(v4->sin_port));
    } else if (s.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&s;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
            snprintf(out, n, "127.0.0.1:%u", ntohs(v6->sin6_port));
        else
            snprintf(out, n, "[%s]:%u", host, ntohs(v6->sin6_port));
    }
}

static bool is_loopback(const struct sockaddr *s)
{
    if (s->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)s)->sin_addr.s_addr) >> 24 == 127;
    if (s->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)s)->sin6_addr);
    return false;
}

enum err listen_is_loopback(const char *address, bool *ret)
{
    struct addrinfo *list;
    TRY(look_up(address, SOCK_STREAM, &list));
    bool all = true;
    for (const struct addrinfo *a = list; a; a = a->ai_next)
        all = all && is_loopback(a->ai_addr);
    freeaddrinfo(list);
    *ret = all;
    return OK;
}
