/* A port of loopback that nobody listens on, for a server of a test program. It is none of those
 * that the system gives to whoever asks for any: until the server has it, a connection or a server
 * of a test beside this one could get it. */
#ifndef WEIR_TESTS_FREE_PORT_H
#define WEIR_TESTS_FREE_PORT_H

#include "test.h"

#include <arpa/inet.h>
#include <sys/socket.h>

enum { FREE_PORT_FIRST = 30000, FREE_PORT_COUNT = 2700 }; /* below 32768, where those begin */

static inline bool port_is_free(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is_free = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    close(fd);
    return is_free;
}

/* Another one at each call; programs that run at a time begin at different ones. */
static inline unsigned free_port(void)
{
    static unsigned tried;
    unsigned port = 0;
    while (!port && tried < FREE_PORT_COUNT) {
        unsigned next = FREE_PORT_FIRST + ((unsigned)getpid() * 16 + tried++) % FREE_PORT_COUNT;
        if (port_is_free(next))
            port = next;
    }
    assert_true(port);
    return port;
}

#endif
