/* The back ends there are: what the conformance suite and the comparison go through. */
#ifndef PAWL_TESTS_STORE_BACKENDS_H
#define PAWL_TESTS_STORE_BACKENDS_H

#include "store/conformance.h"

extern const struct backend backends[];
extern const size_t backends_count;

#endif
