/* What other nodes ask of this one through the store: pieces of logs that grow here, and to drain or resume a worker.
 * On the cluster's thread; a piece is read from a file, which is quick or not there. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/command.h"
#include "server/cluster_model.h"
#include "state/log_path.h"

enum { PIECE_MAX = 1024 * 1024 };

/* False: there is no such file here. */
static bool read_piece(const char *data_dir, struct store_cluster_piece *piece, struct arena *arena)
{
    struct buf path = BUF_INIT;
    struct stat file;
    state_log_path(&path, data_dir, piece->run_id, piece->task, piece->number);
    int fd = open(buf_text(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool is_there = fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
    if (is_there) {
        uint64_t size = (uint64_t)file.st_size, left = piece->offset < size ? size - piece->offset : 0;
        size_t len = left < piece->limit ? (size_t)left : piece->limit;
        len = len < PIECE_MAX ? len : PIECE_MAX;
        char *bytes = arena_alloc(arena, len + 1);
        ssize_t got = pread(fd, bytes, len, (off_t)piece->offset);
        piece->size = size;
        piece->bytes = bytes;
        piece->len = got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        (void)close(fd);
    buf_fini(&path);
    return is_there;
}

static int answer_logs(struct server_cluster *cluster, struct error *err)
{
    struct arena arena = {0};
    struct store_cluster_pieces pieces;
    int code = store_cluster_asked_logs(cluster->link, &arena, &pieces, err);
    for (size_t i = 0; i < pieces.count && !code; i++) {
        struct arena scratch = {0};
        struct store_cluster_piece *piece = &pieces.items[i];
        if (read_piece(cluster->options.data_dir, piece, &scratch) || !piece->of_any)
            code = store_cluster_answer_log(cluster->link, piece, err); /* nothing written yet is an answer too */
        arena_fini(&scratch);
    }
    arena_fini(&arena);
    return code;
}

static void on_done(struct command *command, const struct command_result *result)
{
    (void)result;
    mem_free(command);
}

static int take_orders(struct server_cluster *cluster, struct error *err)
{
    struct arena arena = {0};
    struct store_cluster_orders orders;
    int code = store_cluster_asked_workers(cluster->link, &arena, &orders, err);
    for (size_t i = 0; i < orders.count && !code; i++) {
        struct command *command = mem_new(struct command);
        command->kind = COMMAND_WORKER_DRAIN;
        command->worker = orders.items[i].worker;
        command->draining = orders.items[i].draining;
        command->done = on_done;
        command->principal = "";
        core_post(cluster->core, command);
    }
    arena_fini(&arena);
    if (!code && orders.count)
        cluster->renewed_ms = 0; /* everybody sees it with the next renewal, which is now */
    return code;
}

int server_cluster_asks(struct server_cluster *cluster, bool logs, bool workers, struct error *err)
{
    int code = logs ? answer_logs(cluster, err) : 0;
    return code || !workers ? code : take_orders(cluster, err);
}
