/* Notices clients that leave while their request is under way: sets http_canceled of it.
 * Threads: add and remove from libmicrohttpd's; lock order: the server's lock, then a request's. */
#ifndef WEIR_NET_HTTP_WATCH_H
#define WEIR_NET_HTTP_WATCH_H

#include "net/http_internal.h"

NODISCARD enum err http_watch_start(struct http_server *s);
void http_watch_stop(struct http_server *s);
void http_watch_add(struct http_request *r);
void http_watch_remove(struct http_request *r); /* when libmicrohttpd is done with it */

#endif
