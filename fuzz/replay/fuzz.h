/* The one function every fuzz target defines; libFuzzer ships no header for it. */
#ifndef PAWL_FUZZ_H
#define PAWL_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Feeds `len` bytes to the code under test. Returns 0; a finding is a crash or a report. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

#endif
