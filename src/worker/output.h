/* The log of one attempt: appended in order, cut at its limit with a line that says so. What cannot be written is
 * dropped, never waited for: a task must not feel its log.
 *
 * A file costs more than many a task. So output is held until it is more than LIMIT_LOG_INLINE_BYTES_MAX or
 * LIMIT_LOG_INLINE_MS old; what is still held when the attempt ends goes with its result instead. */
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
    char *held;            /* what is in no file yet; NULL: nothing */
    size_t held_len;
    int64_t due_ms;        /* boot: when what is held goes into a file; 0: nothing is held */
    int fd;                /* -1: not made yet */
    bool cut;
    bool failed;           /* said once, then everything is dropped */
};

void worker_output_init(struct worker_output *output, const char *path, int64_t max);
void worker_output_add(struct worker_output *output, const char *bytes, size_t len, int64_t now_ms);
/* What is held goes into the file. */
void worker_output_spill(struct worker_output *output);
/* What is held stays where it is until the free. */
void worker_output_close(struct worker_output *output);
void worker_output_free(struct worker_output *output);

#endif
