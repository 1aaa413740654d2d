/* How the kernel schedules the calling thread. */
#ifndef PAWL_BASE_SCHED_H
#define PAWL_BASE_SCHED_H

/* Asks for short slices: who gets them runs sooner after a wakeup, and not more. For threads that do little each time
 * while others wait for it. Needs no privilege; what this thread forks does not inherit it. Before Linux 6.12 nothing
 * changes. */
void sched_be_prompt(void);

#endif
