/* The part of api_trigger.c that bulk actions share. */
#ifndef PAWL_API_API_TRIGGER_H
#define PAWL_API_API_TRIGGER_H

#include "api/api_call.h"

struct engine_rerun;
struct store_letter;

/* Fills what a command that retries or skips a letter says about the run to make: source run, DAG (a reference), plan.
 * Of the letter id, run and task are looked at. ERROR_FULL for a run of more than tasks_max tasks. */
int api_trigger_fill_letter(struct api_call *call, const struct store_letter *letter, bool skips, uint64_t tasks_max,
                            struct command *command, struct error *err);

/* The same for a rerun; of *rerun only `from` is looked at. The body's version says which one runs. */
int api_trigger_fill_rerun(struct api_call *call, struct uuid run_id, const struct engine_rerun *rerun,
                           uint64_t tasks_max, struct command *command, struct error *err);

#endif
