/* The part of api_trigger.c that bulk actions share. */
#ifndef PAWL_API_API_TRIGGER_H
#define PAWL_API_API_TRIGGER_H

#include "api/api_call.h"

struct store_letter;

/* Fills what a command that retries or skips a letter says about the run to make: source run, DAG (a reference), plan.
 * Of the letter id, run and task are looked at. ERROR_FULL for a run of more than tasks_max tasks. */
int api_trigger_fill_letter(struct api_call *call, const struct store_letter *letter, bool skips, uint64_t tasks_max,
                            struct command *command, struct error *err);

#endif
