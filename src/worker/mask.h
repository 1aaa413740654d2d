/* Hides values of secrets in what a task says: its output, cut into pieces anywhere, and texts about it.
 *
 * Hidden is each value as it is; its lines, when there are several, of at least MASK_LINE_MIN bytes; and what programs
 * make of it when they pass it on: base64 and base64url wherever it stands within something larger, percent-encoding
 * (`/` kept or not, hexadecimal digits of either case), and a JSON string. Values that overlap are hidden together. At
 * the end of the output the beginning of a value counts as that value. What a program does to a value otherwise,
 * nobody can know. */
#ifndef PAWL_WORKER_MASK_H
#define PAWL_WORKER_MASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "worker/job.h"

/* Shorter values cannot be hidden: src/pool refuses them. */
enum { MASK_LINE_MIN = 8 };

/* What takes the place of a value, whatever its length. */
#define MASK_TEXT "***"

struct worker_mask;

/* NULL when there is nothing to hide. The values are copied. */
struct worker_mask *worker_mask_new(const struct job_list *values);
void worker_mask_free(struct worker_mask *mask); /* NULL is allowed */

/* Appends what may be shown of all that was fed so far. What may be the beginning of a value waits for the rest. */
void worker_mask_feed(struct worker_mask *mask, const char *bytes, size_t len, struct buf *out);
/* Appends what waits. */
void worker_mask_end(struct worker_mask *mask, struct buf *out);
/* One text, whole, whatever was fed. */
void worker_mask_text(const struct worker_mask *mask, const char *text, struct buf *out);

#endif
