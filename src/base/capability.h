/* What this thread may do beyond its user id: capabilities(7). */
#ifndef PAWL_BASE_CAPABILITY_H
#define PAWL_BASE_CAPABILITY_H

#include <stdbool.h>

/* Names of linux/capability.h, which defines more than that. */
enum capability { CAPABILITY_KILL = 5, CAPABILITY_SETGID = 6, CAPABILITY_SETUID = 7 };

/* Whether it is effective now. */
bool capability_has(enum capability capability);

#endif
