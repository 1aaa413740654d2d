/* Whether an answer is one that the route table, and so the OpenAPI document, says can be given. */
#ifndef PAWL_TESTS_API_HTTP_DOCUMENTED_H
#define PAWL_TESTS_API_HTTP_DOCUMENTED_H

#include "daemon.h"

/* Fails the test when status, error code, content type or any member of the body is not in the table. */
void documented_check(const char *method, const char *target, const struct answer *answer);

#endif
