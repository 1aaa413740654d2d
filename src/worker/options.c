/* `pawl worker OPTIONS`: written by the pool, not for people, so there is no help and any mistake is ours. */
#include "worker/worker.h"

#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"

enum { USAGE_STATUS = 2, FD_MAX = 1 << 20 };

enum kind { KIND_ID, KIND_DIR, KIND_LISTEN, KIND_LOCK, KIND_SLOTS, KIND_GRACE, KIND_IDLE, KIND_DIE, KIND_EFFORT,
            KIND_SPAWN, KIND_COUNT };

static const char *const names[] = {
    [KIND_ID] = "--id",
    [KIND_DIR] = "--dir",
    [KIND_LISTEN] = "--listen-fd",
    [KIND_LOCK] = "--lock-fd",
    [KIND_SLOTS] = "--slots",
    [KIND_GRACE] = "--grace-ms",
    [KIND_IDLE] = "--idle-exit-ms",
    [KIND_DIE] = "--die-with-parent",
    [KIND_EFFORT] = "--best-effort",
    [KIND_SPAWN] = "--posix-spawn",
};
_Static_assert(sizeof names / sizeof names[0] == KIND_COUNT, "a name for each option");

static bool set_value(struct worker_options *options, enum kind kind, const char *text)
{
    int64_t number = 0;
    switch (kind) {
    case KIND_ID:
        return uuid_parse(text, &options->id);
    case KIND_DIR:
        options->dir = text;
        return text[0] == '/';
    case KIND_LISTEN:
    case KIND_LOCK:
        if (!str_parse_int(text, 3, FD_MAX, &number))
            return false;
        *(kind == KIND_LISTEN ? &options->listen_fd : &options->lock_fd) = (int)number;
        return true;
    case KIND_SLOTS:
        if (!str_parse_int(text, 1, LIMIT_SLOTS_MAX, &number))
            return false;
        options->slots = (uint32_t)number;
        return true;
    case KIND_GRACE:
        return str_parse_int(text, 0, INT32_MAX, &options->grace_ms);
    case KIND_IDLE:
        return str_parse_int(text, 0, INT64_MAX / 4, &options->idle_exit_ms);
    case KIND_DIE:
    case KIND_EFFORT:
    case KIND_SPAWN:
    case KIND_COUNT:
        break;
    }
    return false;
}

static bool set_flag(struct worker_options *options, enum kind kind)
{
    if (kind == KIND_DIE)
        options->die_with_parent = true;
    else if (kind == KIND_EFFORT)
        options->isolation = WORKER_ISOLATION_BEST_EFFORT;
    else if (kind == KIND_SPAWN)
        options->spawn = WORKER_SPAWN_POSIX;
    else
        return false;
    return true;
}

int worker_command(int argc, char **argv)
{
    struct worker_options options = {.listen_fd = -1, .lock_fd = -1, .grace_ms = LIMIT_GRACE_MS};
    for (int i = 0; i < argc; i++) {
        int kind = 0;
        while (kind < KIND_COUNT && strcmp(argv[i], names[kind]) != 0)
            kind++;
        if (set_flag(&options, (enum kind)kind))
            continue;
        const char *value = i + 1 < argc ? argv[++i] : "";
        if (!set_value(&options, (enum kind)kind, value)) {
            log_error("pawl worker: wrong option: %s %s", argv[i - (i > 0)], value);
            return USAGE_STATUS;
        }
    }
    if (uuid_is_zero(options.id) || !options.dir || options.listen_fd < 0 || options.lock_fd < 0 || !options.slots) {
        log_error("pawl worker: it is started by pawl serve and pawl run; --id, --dir, --listen-fd, --lock-fd and "
                  "--slots are needed");
        return USAGE_STATUS;
    }
    return worker_main(&options);
}
