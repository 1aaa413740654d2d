/* Preloaded into a node: a wall clock of its own, which goes faster and elsewhere. Boot time and the monotonic clock,
 * by which everything is measured, stay as they are.
 *
 *     PAWL_CLOCK=SPEED:BOOT_MS:WALL_MS     at boot time BOOT_MS it is WALL_MS, and from there on SPEED times as fast */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int is_set;
static long long speed, boot_ms, wall_ms;

__attribute__((constructor)) static void read_setting(void)
{
    const char *text = getenv("PAWL_CLOCK");
    is_set = text && sscanf(text, "%lld:%lld:%lld", &speed, &boot_ms, &wall_ms) == 3;
}

static int (*true_clock)(clockid_t, struct timespec *);

int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    if (!true_clock)
        true_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (!is_set || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return true_clock(id, ret_time);
    struct timespec boot;
    int code = true_clock(CLOCK_BOOTTIME, &boot);
    long long us = (boot.tv_sec * 1000000LL + boot.tv_nsec / 1000 - boot_ms * 1000) * speed + wall_ms * 1000;
    ret_time->tv_sec = (time_t)(us / 1000000);
    ret_time->tv_nsec = (long)(us % 1000000 * 1000);
    return code;
}
