/* A PostgreSQL server of the test's own: its directory below TMPDIR, a socket in it, no port, an unprivileged user when
 * the test is root's. Started when first asked for; ends with the test's process, however that ends. */
#ifndef PAWL_TESTS_STORE_POSTGRES_SERVER_H
#define PAWL_TESTS_STORE_POSTGRES_SERVER_H

#include <sys/types.h>

/* The URL of a database that belongs to this name; an empty one when the name is new. Caller frees with mem_free.
 * Fails the test when there is no server to start. */
char *postgres_url(const char *name);
/* Stops the server with SIGINT (connections are cut) or starts it again. */
void postgres_stop(void);
void postgres_start(void);
pid_t postgres_pid(void);
/* Runs SQL by psql in the database of this name; the text it answers. Caller frees with mem_free. */
char *postgres_sql(const char *name, const char *sql);

#endif
