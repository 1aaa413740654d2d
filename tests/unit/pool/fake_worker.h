/* A worker that runs nothing: the test's own program, started by the pool as `PROGRAM worker OPTIONS`. It holds what
 * it is told to start and behaves, or misbehaves, as the variable PAWL_FAKE says:
 *
 *     good       (or no such variable) as a worker should
 *     die        exits with status 3 before it says anything
 *     deaf       accepts no connection          mute       accepts and says nothing
 *     version boot ticks id slots               HELLO with that one wrong
 *     proxy      a child of its answers
 *     early      READY before HELLO             garbage    bytes that are no message
 *     twice      HELLO again after READY        daemon     a message that only a daemon sends, after READY
 *     close      closes the connection after READY and lives on
 *
 * A command "end" ends at once, "crash" too and the worker with it; any other is held until it is stopped. */
#ifndef PAWL_TESTS_FAKE_WORKER_H
#define PAWL_TESTS_FAKE_WORKER_H

int fake_worker(int argc, char **argv);

#endif
