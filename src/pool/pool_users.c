#include "pool/pool_users.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

enum { KNOWN_MS = 60 * 1000, DATABASE_BYTES_MAX = 1024 * 1024, GROUPS_FIRST = 64 };

struct known {
    struct pool_user user;
    char *name, *home, *shell, *base_dir;
    gid_t *groups;
    int64_t until_ms;           /* boot */
};

struct pool_users {
    char *by_default;
    char **allowed;
    uint32_t allowed_count;
    char *work_dir;
    struct known *known;
    size_t known_count, known_cap;
};

/* ---- the system's users ---- */

/* An entry of the database, in *ret_text, which is freed by the caller. False with words: there is none, or nobody can
 * say. */
static bool look_up(const char *name, struct passwd *ret_entry, char **ret_text, struct error *err)
{
    size_t size = 4096;
    for (char *text = NULL;; size *= 4) {
        struct passwd *found = NULL;
        mem_free(text);
        text = mem_alloc(size);
        int why = getpwnam_r(name, ret_entry, text, size, &found);
        if (found) {
            *ret_text = text;
            return true;
        }
        if (why == ERANGE && size < DATABASE_BYTES_MAX)
            continue;
        mem_free(text);
        if (why == 0 || why == ENOENT || why == ESRCH)
            (void)error_set(err, ERROR_VALIDATION_ERROR, "there is no user '%.100s' on this machine", name);
        else
            (void)error_set(err, ERROR_VALIDATION_ERROR, "the user '%.100s' cannot be looked up: %s", name,
                            strerror(why));
        return false;
    }
}

/* All groups of a user, with its first. */
static gid_t *look_up_groups(const char *name, gid_t gid, uint32_t *ret_count, struct error *err)
{
    int count = GROUPS_FIRST;
    gid_t *groups = mem_new_array(gid_t, GROUPS_FIRST);
    if (getgrouplist(name, gid, groups, &count) < 0 && count > GROUPS_FIRST && count <= LIMIT_USER_GROUPS_MAX) {
        int cap = count;
        groups = mem_realloc_array(groups, (size_t)cap, sizeof *groups);
        if (getgrouplist(name, gid, groups, &count) < 0)
            count = 0;
    }
    if (count > 0 && count <= LIMIT_USER_GROUPS_MAX) {
        *ret_count = (uint32_t)count;
        return groups;
    }
    mem_free(groups);
    (void)error_set(err, ERROR_BAD_REQUEST, "the groups of the user '%.100s' cannot be looked up", name);
    return NULL;
}

/* ---- who may be named ---- */

static int check_privileges(struct error *err)
{
    /* KILL too: without it a worker could not end what it has started, nor would it end with the worker. */
    if (capability_has(CAPABILITY_SETUID) && capability_has(CAPABILITY_SETGID) && capability_has(CAPABILITY_KILL))
        return 0;
    return error_set(err, ERROR_VALIDATION_ERROR,
                     "run-as, run-as-allowed: this process may not start tasks as another user; run it as root, or "
                     "with the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL");
}

static int check_work_dir(const char *path, struct error *err)
{
    struct stat status;
    if (path[0] != '/')
        return error_set(err, ERROR_VALIDATION_ERROR, "run-as-work: %s is not an absolute path", path);
    if (stat(path, &status) != 0)
        return error_set(err, ERROR_VALIDATION_ERROR, "run-as-work: %s: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return error_set(err, ERROR_VALIDATION_ERROR, "run-as-work: %s is not a folder", path);
    if ((status.st_uid != 0 && status.st_uid != geteuid()) || status.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(err, ERROR_VALIDATION_ERROR, "run-as-work: others can change %s", path);
    return 0;
}

int pool_users_new(const struct pool_users_options *options, struct pool_users **ret_users, struct error *err)
{
    struct passwd entry;
    char *text = NULL;
    int code = 0;
    if (options->by_default || options->allowed_count)
        code = check_privileges(err);
    if (!code && options->work_dir)
        code = check_work_dir(options->work_dir, err);
    if (!code && options->by_default && !look_up(options->by_default, &entry, &text, err)) {
        (void)error_add(err, "run-as");
        code = ERROR_VALIDATION_ERROR;
    }
    mem_free(text);
    if (code)
        return code;
    struct pool_users *users = mem_new(struct pool_users);
    users->by_default = mem_strdup(options->by_default);
    users->work_dir = mem_strdup(options->work_dir);
    users->allowed = mem_new_array(char *, options->allowed_count);
    for (uint32_t i = 0; i < options->allowed_count; i++)
        users->allowed[users->allowed_count++] = mem_strdup(options->allowed[i]);
    *ret_users = users;
    return 0;
}

static void forget(struct known *known)
{
    mem_free(known->name);
    mem_free(known->home);
    mem_free(known->shell);
    mem_free(known->base_dir);
    mem_free(known->groups);
    *known = (struct known){0};
}

void pool_users_free(struct pool_users *users)
{
    if (!users)
        return;
    for (size_t i = 0; i < users->known_count; i++)
        forget(&users->known[i]);
    mem_free(users->known);
    for (uint32_t i = 0; i < users->allowed_count; i++)
        mem_free(users->allowed[i]);
    mem_free(users->allowed);
    mem_free(users->by_default);
    mem_free(users->work_dir);
    mem_free(users);
}

static bool is_listed(const struct pool_users *users, const char *name)
{
    bool listed = users && users->by_default && strcmp(users->by_default, name) == 0;
    for (uint32_t i = 0; users && i < users->allowed_count && !listed; i++)
        listed = strcmp(users->allowed[i], name) == 0;
    return listed;
}

/* Where nobody else is the default, naming who we are changes nothing; but root is to be listed. */
static bool is_own(const struct pool_users *users, const struct passwd *entry)
{
    return !(users && users->by_default) && entry->pw_uid == geteuid() && entry->pw_uid != 0;
}

static int check(const struct pool_users *users, const char *name, struct passwd *ret_entry, char **ret_text,
                 struct error *err)
{
    bool listed = is_listed(users, name);
    /* What is not listed is not told from what is not there. */
    if (look_up(name, ret_entry, ret_text, listed ? err : NULL)) {
        if (listed || is_own(users, ret_entry))
            return 0;
        mem_free(*ret_text);
        *ret_text = NULL;
    }
    return listed ? ERROR_VALIDATION_ERROR
                  : error_set(err, ERROR_VALIDATION_ERROR, "tasks may not run as '%.100s': run-as-allowed of the "
                              "daemon does not name this user", name);
}

int pool_users_check(const struct pool_users *users, const char *name, struct error *err)
{
    struct passwd entry;
    char *text = NULL;
    int code = check(users, name, &entry, &text, err);
    mem_free(text);
    return code;
}

/* ---- one of them ---- */

/* The folder of a user below work_dir, which only we can change, made at the first use. */
static int make_base_dir(const char *path, const struct passwd *entry, struct error *err)
{
    struct stat status;
    bool made = mkdir(path, 0700) == 0;
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); /* it need not be ours to read */
    int code = 0;
    if (fd < 0 || fstat(fd, &status) != 0)
        code = error_set(err, ERROR_BAD_REQUEST, "run-as-work: %s cannot be opened: %s", path, strerror(errno));
    else if (made && fchownat(fd, "", entry->pw_uid, entry->pw_gid, AT_EMPTY_PATH) != 0)
        code = error_set(err, ERROR_BAD_REQUEST, "run-as-work: %s cannot be given to its user: %s", path,
                         strerror(errno));
    else if (!made && status.st_uid != entry->pw_uid)
        code = error_set(err, ERROR_BAD_REQUEST, "run-as-work: %s belongs to somebody else", path);
    if (fd >= 0)
        (void)close(fd);
    if (code && made)
        (void)rmdir(path);
    return code;
}

static int learn(const struct pool_users *users, const char *name, struct known *known, struct error *err)
{
    struct passwd entry;
    char *text = NULL;
    int code = check(users, name, &entry, &text, err);
    if (code)
        return code;
    bool is_we = is_own(users, &entry) && !is_listed(users, name);
    struct known fresh = {.name = mem_strdup(name), .until_ms = clock_boot_ms() + KNOWN_MS};
    if (!is_we) {
        uint32_t count = 0;
        fresh.home = mem_strdup(entry.pw_dir);
        fresh.shell = mem_strdup(entry.pw_shell && *entry.pw_shell ? entry.pw_shell : "/bin/sh");
        fresh.base_dir = users->work_dir ? mem_printf("%s/%s", users->work_dir, name) : mem_strdup(entry.pw_dir);
        if (users->work_dir)
            code = strchr(name, '/') ? error_set(err, ERROR_BAD_REQUEST, "run-as-work: the user has no folder's name")
                                     : make_base_dir(fresh.base_dir, &entry, err);
        fresh.groups = code ? NULL : look_up_groups(name, entry.pw_gid, &count, err);
        code = !code && !fresh.groups ? ERROR_BAD_REQUEST : code;
        fresh.user = (struct pool_user){
            .name = fresh.name,
            .home = fresh.home,
            .shell = fresh.shell,
            .base_dir = fresh.base_dir,
            .ids = {.other = true, .uid = entry.pw_uid, .gid = entry.pw_gid, .group_count = count,
                    .groups = (const char *)fresh.groups},
        };
    }
    mem_free(text);
    if (code) {
        forget(&fresh);
        return code;
    }
    forget(known);
    *known = fresh;
    return 0;
}

static struct known *place_of(struct pool_users *users, const char *name)
{
    for (size_t i = 0; i < users->known_count; i++)
        if (users->known[i].name && strcmp(users->known[i].name, name) == 0)
            return &users->known[i];
    users->known = mem_grow(users->known, &users->known_cap, users->known_count + 1, sizeof *users->known);
    users->known[users->known_count] = (struct known){0};
    return &users->known[users->known_count++];
}

int pool_users_find(struct pool_users *users, const char *run_as, const struct pool_user **ret_user, struct error *err)
{
    const char *name = run_as ? run_as : users ? users->by_default : NULL;
    *ret_user = NULL;
    if (!name)
        return 0;
    if (!users)
        return pool_users_check(users, name, err);
    struct known *known = place_of(users, name);
    if (!known->name || known->until_ms < clock_boot_ms()) {
        int code = learn(users, name, known, err);
        if (code)
            return code;
    }
    *ret_user = known->user.ids.other ? &known->user : NULL;
    return 0;
}
