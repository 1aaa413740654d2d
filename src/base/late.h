/* Libraries that are opened when one of their functions is first called: linked, they would cost every worker, which
 * calls none of them, more than 2 MB. tools/late-stubs writes a function of the same name for each that the program
 * calls; it jumps through a slot, which at first leads here. What is in the header of the library holds all the same.
 *
 * Only in the program itself, and only where the stubs are written for the processor; elsewhere they are linked. */
#ifndef PAWL_BASE_LATE_H
#define PAWL_BASE_LATE_H

#include <stdint.h>

struct late_function {
    const char *name;
    const char *library;  /* whose name carries the ABI */
};

extern const struct late_function late_functions[]; /* written by tools/late-stubs */

/* The function's address. A library that is not there, or lacks it, ends the program after a line in the log: it was
 * there when the program was built, and the packages say so. Any thread. */
void *late_resolve(uint32_t index);

#endif
