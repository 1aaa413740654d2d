/* A client that sends what it is told and reads what comes. */
#ifndef PAWL_TESTS_HTTP_CLIENT_H
#define PAWL_TESTS_HTTP_CLIENT_H

#include <stdint.h>

#include "base/buf.h"

int client_connect(uint16_t port);
void client_send(int fd, const char *text);
/* Appends until `stop` is in out (terminated then), or the end when stop is NULL. Fails the test after 30 s without
 * a byte. */
void client_read_until(int fd, const char *stop, struct buf *out);
/* Connects, sends, reads to the end of the connection. */
void client_ask(uint16_t port, const char *text, struct buf *out);
int client_status(const struct buf *answer); /* of the first answer; 0 when there is none */

#endif
