/* The floor of what is durable: append BYTES to a file that has its size already, fdatasync, COUNT times.
 *
 *     floor_sync FILE COUNT BYTES */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: floor_sync FILE COUNT BYTES\n");
        return 2;
    }
    size_t count = strtoul(argv[2], NULL, 10), bytes = strtoul(argv[3], NULL, 10);
    char *block = calloc(1, bytes);
    double *us = calloc(count, sizeof *us);
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || !block || !us || count == 0)
        return 1;
    for (size_t i = 0; i < count; i++)
        if (write(fd, block, bytes) != (ssize_t)bytes)
            return 1;
    if (fsync(fd) != 0)
        return 1;
    for (size_t i = 0; i < count; i++) {
        struct timespec began, ended;
        clock_gettime(CLOCK_MONOTONIC, &began);
        if (pwrite(fd, block, bytes, (off_t)(i * bytes)) != (ssize_t)bytes || fdatasync(fd) != 0)
            return 1;
        clock_gettime(CLOCK_MONOTONIC, &ended);
        us[i] = (double)(ended.tv_sec - began.tv_sec) * 1e6 + (double)(ended.tv_nsec - began.tv_nsec) / 1e3;
    }
    qsort(us, count, sizeof *us, by_value);
    printf("{\"count\": %zu, \"median_us\": %.1f, \"p99_us\": %.1f}\n", count, us[count / 2], us[count * 99 / 100]);
    (void)close(fd);
    (void)unlink(argv[1]);
    free(block);
    free(us);
    return 0;
}
