#include "store/postgres_server.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/scratch.h"
#include "support/check.h"

/* One server per test program. */
static struct {
    char *bin;              /* the folder of its programs */
    char *dir;
    pid_t pid;              /* 0: it does not run */
    pid_t creator;          /* the process that removes the directory */
    const struct passwd *user; /* NULL: as we are */
    char *names[64];        /* databases there are */
    size_t name_count;
} server;

static void become_user(void)
{
    const struct passwd *user = server.user;
    if (user && (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
        _exit(126);
}

/* Runs one of its programs to its end; argv[0], its name, becomes its path, since they look for each other beside
 * themselves. What it wrote to stdout is appended. */
static int run(const char **argv, struct buf *ret_out)
{
    int ends[2], status = -1;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        argv[0] = mem_printf("%s/%s", server.bin, argv[0]);
        become_user();
        (void)chdir(server.dir);
        (void)dup2(ends[1], STDOUT_FILENO);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    (void)close(ends[1]);
    char piece[4096];
    for (ssize_t got; (got = read(ends[0], piece, sizeof piece)) > 0;)
        if (ret_out)
            buf_add(ret_out, piece, (size_t)got);
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static char *find_programs(void)
{
    glob_t found;
    const char *set = getenv("PAWL_PG_BIN");
    if (set)
        return mem_strdup(set);
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) != 0)
        fail_msg("%s", "no PostgreSQL server is installed (tools/install-deps check)");
    char *bin = mem_strdup(found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return bin;
}

static void end_server(void)
{
    if (server.creator != getpid())
        return;
    postgres_stop();
    scratch_remove(server.dir);
    for (size_t i = 0; i < server.name_count; i++)
        mem_free(server.names[i]);
    mem_free(server.bin);
    memset(&server, 0, sizeof server);
}

static void make_server(void)
{
    server.bin = find_programs();
    server.dir = scratch_make();
    server.creator = getpid();
    if (geteuid() == 0) {
        server.user = getpwnam("postgres");
        if (!server.user)
            server.user = getpwnam("nobody");
        assert_non_null(server.user);
        assert_int_equal(chown(server.dir, server.user->pw_uid, server.user->pw_gid), 0);
    }
    char *data = mem_printf("%s/data", server.dir);
    const char *initdb[] = {"initdb", "-N", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-U", "pawl", "-D",
                                  data, NULL};
    struct buf out = BUF_INIT;
    if (run(initdb, &out) != 0)
        fail_msg("initdb: %s", buf_text(&out));
    buf_fini(&out);
    mem_free(data);
    (void)atexit(end_server);
    postgres_start();
}

void postgres_start(void)
{
    char *data = mem_printf("%s/data", server.dir), *log = mem_printf("%s/log", server.dir);
    char *path = mem_printf("%s/postgres", server.bin);
    assert_int_equal(server.pid, 0);
    server.pid = fork();
    assert_true(server.pid >= 0);
    if (server.pid == 0) {
        become_user();
        (void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        execl(path, path, "-D", data, "-k", server.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c",
              "full_page_writes=off", "-c", "shared_buffers=16MB", "-c", "max_connections=60", (char *)NULL);
        _exit(127);
    }
    mem_free(path);
    mem_free(log);
    mem_free(data);
    /* pg_isready says when; each call is a process of its own, so this loop does not spin */
    const char *ready[] = {"pg_isready", "-q", "-t", "1", "-h", server.dir, NULL};
    for (int tries = 0; run(ready, NULL) != 0; tries++) {
        int status;
        if (tries > 5000 || waitpid(server.pid, &status, WNOHANG) != 0)
            fail_msg("%s", "the PostgreSQL server does not start");
    }
}

void postgres_stop(void)
{
    if (!server.pid)
        return;
    int status;
    (void)kill(server.pid, SIGCONT);
    (void)kill(server.pid, SIGINT);
    (void)waitpid(server.pid, &status, 0);
    server.pid = 0;
}

pid_t postgres_pid(void)
{
    return server.pid;
}

/* A name's database; *ret_index: which. */
static bool is_known(const char *name)
{
    for (size_t i = 0; i < server.name_count; i++)
        if (strcmp(server.names[i], name) == 0)
            return true;
    return false;
}

static const char *base_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* The server keeps the last few databases; older ones belong to tests that are over. */
static void make_database(const char *name)
{
    enum { KEEP = 4 };
    const char *create[] = {"createdb", "-h", server.dir, "-U", "pawl", name, NULL};
    assert_int_equal(run(create, NULL), 0);
    if (server.name_count == KEEP) {
        const char *drop[] = {"dropdb", "-f", "-h", server.dir, "-U", "pawl", server.names[0], NULL};
        assert_int_equal(run(drop, NULL), 0);
        mem_free(server.names[0]);
        memmove(server.names, server.names + 1, (KEEP - 1) * sizeof server.names[0]);
        server.name_count--;
    }
    server.names[server.name_count++] = mem_strdup(name);
}

char *postgres_url(const char *name)
{
    name = base_of(name);
    if (!server.bin)
        make_server();
    if (!is_known(name))
        make_database(name);
    struct buf url = BUF_INIT;
    buf_printf(&url, "postgresql://pawl@/%s?host=", name);
    for (const char *c = server.dir; *c; c++) {
        if (*c == '/')
            buf_add_text(&url, "%2F");
        else
            buf_add_char(&url, *c);
    }
    return buf_take(&url);
}

char *postgres_sql(const char *name, const char *sql)
{
    struct buf out = BUF_INIT;
    const char *psql[] = {"psql", "-h", server.dir, "-U", "pawl", "-d", base_of(name), "-XAtqc", sql, NULL};
    assert_int_equal(run(psql, &out), 0);
    return buf_take(&out);
}
