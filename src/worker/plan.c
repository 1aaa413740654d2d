/* A command string means what `sh -c` means. Starting the shell costs as much as starting the program, so it is left
 * out where it would do nothing but split words and execute: only characters that mean nothing to a shell, a first
 * word that is no builtin, keyword or assignment and is found in the task's PATH, and an environment that the shell
 * would pass on as it is. Anything else goes to the shell: in doubt we do not guess.
 *
 * One thing a shell does is done here: it passes on a PWD that names the workdir. One thing differs: a
 * program that a signal killed is told as that, where dash waits for it, prints a word and exits with 128 + signal. */
#include "worker/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "worker/protocol.h"

/* The kernel takes 128 KiB an argument. */
enum { CODE_ARG_MAX = 64 * 1024 };

#define SHELL "/bin/sh"
/* What execvp uses where PATH is not set. */
#define DEFAULT_PATH "/bin:/usr/bin"

/* Of dash and bash, keywords too; sorted. */
static const char *const shell_words[] = {
    ".",        ":",         "[",       "alias",    "bg",       "bind",    "break",   "builtin",  "caller",
    "case",     "cd",        "chdir",   "command",  "compgen",  "complete", "compopt", "continue", "coproc",
    "declare",  "dirs",      "disown",  "do",       "done",     "echo",    "elif",    "else",     "enable",
    "esac",     "eval",      "exec",    "exit",     "export",   "false",   "fc",      "fg",       "fi",
    "for",      "function",  "getopts", "hash",     "help",     "history", "if",      "in",       "jobs",
    "kill",     "let",       "local",   "logout",   "mapfile",  "popd",    "printf",  "pushd",    "pwd",
    "read",     "readarray", "readonly", "return",  "select",   "set",     "shift",   "shopt",    "source",
    "suspend",  "test",      "then",    "time",     "times",    "trap",    "true",    "type",     "typeset",
    "ulimit",   "umask",     "unalias", "unset",    "until",    "wait",    "while",
};

/* Variables that a shell sets or reads itself; sorted. */
static const char *const shell_variables[] = {
    "BASH_ENV", "ENV", "IFS", "LINENO", "OPTARG", "OPTIND", "POSIXLY_CORRECT", "PPID", "PS1", "PS2", "PS4", "SHELLOPTS",
};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static int compare_words(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    return bsearch(word, words, count, sizeof *words, compare_words);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_plain(char c)
{
    return is_letter(c) || is_digit(c) || (c && strchr("_./:,+@%=-", c));
}

/* Splits at blanks; NULL when there is a character that a shell may look at. */
static char **split_plain(struct arena *arena, const char *command, size_t *ret_count)
{
    size_t max = 2;
    for (const char *at = command; *at; at++) {
        if (!is_plain(*at) && *at != ' ' && *at != '\t')
            return NULL;
        max += *at == ' ' || *at == '\t';
    }
    char **words = arena_array(arena, max, sizeof *words);
    size_t count = 0;
    for (const char *at = command; *at;) {
        at += strspn(at, " \t");
        size_t len = strcspn(at, " \t");
        if (len)
            words[count++] = arena_strndup(arena, at, len);
        at += len;
    }
    *ret_count = count;
    return count ? words : NULL;
}

static const char *variable(const struct job *job, const char *name)
{
    size_t len = strlen(name);
    const char *cursor = job->env.bytes;
    const char *item;
    while ((item = worker_list_next(&job->env, &cursor)))
        if (strncmp(item, name, len) == 0 && item[len] == '=')
            return item + len + 1;
    return NULL;
}

static bool is_shell_variable(const char *item, size_t name_len)
{
    char name[32];
    if (name_len >= sizeof name)
        return false;
    memcpy(name, item, name_len);
    name[name_len] = '\0';
    return is_one_of(name, shell_variables, COUNT_OF(shell_variables));
}

/* A shell drops variables whose names it could not write, and has its own ideas of a few others. */
static bool passes_shell_unchanged(const struct job *job)
{
    const char *cursor = job->env.bytes;
    const char *item;
    while ((item = worker_list_next(&job->env, &cursor))) {
        size_t len = 0;
        while (is_letter(item[len]) || item[len] == '_' || (len && is_digit(item[len])))
            len++;
        if (len == 0 || item[len] != '=' || is_shell_variable(item, len))
            return false;
    }
    return true;
}

static bool is_program(const char *workdir, const char *path)
{
    char absolute[PATH_MAX];
    struct stat st;
    if (path[0] != '/') {
        size_t dir_len = strlen(workdir);
        size_t path_len = strlen(path);
        if (dir_len + path_len + 2 > sizeof absolute) {
            errno = ENAMETOOLONG;
            return false;
        }
        memcpy(absolute, workdir, dir_len);
        absolute[dir_len] = '/';
        memcpy(absolute + dir_len + 1, path, path_len + 1);
        path = absolute;
    }
    if (stat(path, &st) != 0)
        return false;
    errno = EACCES;
    return S_ISREG(st.st_mode) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* As execvp looks, in the task's PATH. What another user may execute is not known here: *ret_further is what else there
 * is. NULL with errno. */
static const char *find_program(struct arena *arena, const struct job *job, const char *name, const char *paths,
                                const char ***ret_further)
{
    const char *found = NULL, **further = NULL;
    size_t count = 0;
    if (strchr(name, '/')) /* another user may get where we do not */
        return is_program(job->workdir, name) || (job->user.other && errno == EACCES) ? name : NULL;
    int best = ENOENT;
    if (job->user.other)
        further = arena_array(arena, strlen(paths) + 1, sizeof *further);
    for (const char *at = paths; *name; at++) {
        size_t len = strcspn(at, ":");
        const char *path = arena_printf(arena, "%.*s%s%s", (int)len, at, len ? "/" : "./", name);
        if (is_program(job->workdir, path)) {
            if (!job->user.other)
                return path;
            if (found)
                further[count++] = path;
            else
                found = path;
        } else if (errno == EACCES) {
            best = EACCES;
        }
        at += len;
        if (!*at)
            break;
    }
    if (further)
        further[count] = NULL;
    *ret_further = further;
    errno = best;
    return found;
}

static char **list_pointers(struct arena *arena, const struct job_list *list, size_t extra, char ***ret_end)
{
    char **items = arena_array(arena, list->count + extra + 1, sizeof *items);
    char **end = items;
    const char *cursor = list->bytes;
    const char *item;
    while ((item = worker_list_next(list, &cursor)))
        *end++ = (char *)(uintptr_t)item; /* execve changes nothing of it */
    if (ret_end)
        *ret_end = end;
    return items;
}

void worker_place_fini(struct worker_place *place)
{
    mem_free(place->workdir);
    mem_free(place->physical);
    *place = (struct worker_place){0};
}

static bool is_at(const struct stat *status, const struct worker_place *place)
{
    return status->st_dev == place->device && status->st_ino == place->inode;
}

/* The path without links of `workdir`, which has this status. What is remembered counts as long as both names lead to
 * the same folder. NULL when there is none. */
static const char *physical_path(struct worker_place *place, const char *workdir, const struct stat *status)
{
    char physical[PATH_MAX];
    struct stat named;
    if (place->workdir && strcmp(place->workdir, workdir) == 0 && is_at(status, place)
        && (strcmp(place->physical, workdir) == 0 || (stat(place->physical, &named) == 0 && is_at(&named, place))))
        return place->physical;
    worker_place_fini(place);
    if (!realpath(workdir, physical))
        return NULL;
    *place = (struct worker_place){mem_strdup(workdir), mem_strdup(physical), status->st_dev, status->st_ino};
    return place->physical;
}

/* As a shell does at its start: PWD is kept where it names the workdir, else it becomes its physical path. There is
 * room for one more variable. */
static void correct_pwd(struct arena *arena, const struct job *job, struct worker_place *place, char **envp)
{
    struct stat named;
    struct stat real;
    while (*envp && strncmp(*envp, "PWD=", 4) != 0)
        envp++;
    if (stat(job->workdir, &real) != 0)
        return;
    if (*envp && (*envp)[4] == '/' && stat(*envp + 4, &named) == 0 && named.st_dev == real.st_dev
        && named.st_ino == real.st_ino)
        return;
    const char *physical = physical_path(place, job->workdir, &real);
    if (physical)
        *envp = arena_printf(arena, "PWD=%s", physical);
}

static bool plan_direct(struct arena *arena, const struct job *job, struct worker_place *place,
                        struct worker_plan *plan)
{
    size_t count;
    char **words = split_plain(arena, job->command, &count);
    const char *paths = variable(job, "PATH");
    if (!words || !paths || strchr(words[0], '=') || is_one_of(words[0], shell_words, COUNT_OF(shell_words))
        || !passes_shell_unchanged(job))
        return false;
    const char **further = NULL, *program = find_program(arena, job, words[0], paths, &further);
    if (!program)
        return false;
    *plan = (struct worker_plan){
        .program = program,
        .further = further,
        .name = words[0],
        .argv = words,
        .envp = list_pointers(arena, &job->env, 1, NULL),
        .direct = true,
    };
    correct_pwd(arena, job, place, plan->envp);
    return true;
}

void worker_plan_shell(struct arena *arena, const struct job *job, struct worker_plan *ret_plan)
{
    char **argv = arena_array(arena, 5, sizeof *argv);
    argv[0] = arena_strdup(arena, "sh");
    argv[1] = arena_strdup(arena, "-c");
    /* A command may begin with a dash. */
    argv[2] = arena_strdup(arena, "--");
    argv[3] = (char *)(uintptr_t)job->command;
    *ret_plan = (struct worker_plan){
        .program = SHELL,
        .name = SHELL,
        .argv = argv,
        .envp = list_pointers(arena, &job->env, 0, NULL),
    };
}

bool worker_plan_needs_file(const struct job *job)
{
    return job->kind == JOB_PYTHON && job->code && job->code_len > CODE_ARG_MAX;
}

/* The interpreter, then the code in front of the script's arguments. Code from a file behaves as code from -c does. */
static char **code_arguments(struct arena *arena, const struct job *job, const char *code_path)
{
    static const char from_file[] = "exec(compile(open(__import__('sys').argv.pop(1),'rb').read(),'<string>','exec'))";
    char **end;
    char **given = list_pointers(arena, &job->argv, 0, &end);
    char **argv = arena_array(arena, job->argv.count + 4u, sizeof *argv);
    char **at = argv;
    *at++ = given[0];
    *at++ = arena_strdup(arena, "-c");
    *at++ = code_path ? arena_strdup(arena, from_file) : (char *)(uintptr_t)job->code;
    if (code_path)
        *at++ = arena_strdup(arena, code_path);
    for (given++; given < end; given++)
        *at++ = *given;
    return argv;
}

int worker_plan_make(struct arena *arena, const struct job *job, const char *code_path, struct worker_place *place,
                     struct worker_plan *ret_plan, struct error *err)
{
    struct worker_plan plan = {0};
    if (job->kind == JOB_COMMAND) {
        if (!plan_direct(arena, job, place, &plan))
            worker_plan_shell(arena, job, &plan);
        *ret_plan = plan;
        return 0;
    }
    plan.argv = job->code ? code_arguments(arena, job, code_path) : list_pointers(arena, &job->argv, 0, NULL);
    plan.envp = list_pointers(arena, &job->env, 0, NULL);
    plan.name = plan.argv[0];
    const char *paths = variable(job, "PATH");
    plan.program = find_program(arena, job, plan.name, paths ? paths : DEFAULT_PATH, &plan.further);
    if (!plan.program) {
        int saved = errno;
        if (access(job->workdir, X_OK) != 0)
            return error_set(err, ERROR_NOT_FOUND, "cannot start '%s' in workdir '%s': %s", plan.name, job->workdir,
                             strerror(errno));
        return error_set(err, ERROR_NOT_FOUND, "cannot start '%s': %s", plan.name, strerror(saved));
    }
    *ret_plan = plan;
    return 0;
}
