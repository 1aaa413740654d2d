/* Words for the service manager (sd_notify(3), by hand: one datagram). */
#ifndef PAWL_SERVER_NOTIFY_H
#define PAWL_SERVER_NOTIFY_H

/* "READY=1", "STOPPING=1". Nothing when no manager asked for it; a manager that does not listen is no error. */
void server_notify(const char *state);

#endif
