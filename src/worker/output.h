/* The log of one attempt: made at the first byte, appended in order, cut at its limit with a line that says so. What
 * cannot be written is dropped, never waited for: a task must not feel its log. */
#ifndef PAWL_WORKER_OUTPUT_H
#define PAWL_WORKER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker_output {
    const char *path;      /* borrowed */
    int64_t max;           /* bytes kept */
    int64_t kept;          /* bytes of output in the log */
    int64_t size;          /* of the log, with the line that states the cut */
    int fd;                /* -1: not made yet */
    bool cut;
    bool failed;           /* said once, then everything is dropped */
};

void worker_output_init(struct worker_output *output, const char *path, int64_t max);
void worker_output_add(struct worker_output *output, const char *bytes, size_t len);
void worker_output_close(struct worker_output *output);

#endif
