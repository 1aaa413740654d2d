/* server/cluster.c as it is, on the simulation's clocks and threads. */
#include <pthread.h>

#include "nodes.h"

#define clock_boot_ms sim_boot_ms
#define pthread_create sim_thread_create
#define pthread_join sim_thread_join
#include "server/cluster.c"
