/* A port of loopback that nobody listens on, for a server of a test program. */
#ifndef WEIR_TESTS_FREE_PORT_H
#define WEIR_TESTS_FREE_PORT_H

#include "test.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static inline unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

#endif
