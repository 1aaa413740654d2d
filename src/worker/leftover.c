#include "worker/leftover.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/cgroup.h"
#include "worker/files.h"
#include "worker/record.h"

static int kill_marked(const struct worker_record *record, uint32_t *ret_found, struct error *err)
{
    struct worker_mark *marks = mem_new_array(struct worker_mark, record->slots + 1u);
    size_t count = 0;
    for (uint32_t i = 0; i < record->slots; i++)
        if (record->slot[i].busy)
            marks[count++] = record->slot[i].mark;
    const struct worker_sweep sweep = {.marks = marks, .mark_count = count};
    size_t found;
    bool unsure;
    int code = worker_procs_signal(&sweep, SIGKILL, &found, &unsure, err);
    *ret_found = (uint32_t)found;
    mem_free(marks);
    return code;
}

int worker_leftover_kill(const char *dir, struct uuid id, uint32_t *ret_found, struct error *err)
{
    *ret_found = 0;
    struct worker_record *record;
    char *path = worker_file(dir, id, "run");
    int code = worker_record_read(path, &record, err);
    mem_free(path);
    if (code || !record)
        return code;
    /* Of an earlier boot: its processes ended with the machine. */
    if (uuid_equal(record->boot_id, worker_procs_boot_id()))
        code = record->cgroup[0] ? worker_cgroup_kill_all(record->cgroup, ret_found, err)
                                 : kill_marked(record, ret_found, err);
    worker_record_close(record);
    return code;
}

void worker_leftover_remove(const char *dir, struct uuid id, bool keep_log)
{
    struct worker_record *record = NULL;
    char *path = worker_file(dir, id, "run");
    if (worker_record_read(path, &record, NULL) == 0 && record && record->cgroup[0])
        worker_cgroup_remove(record->cgroup);
    worker_record_close(record);
    mem_free(path);
    worker_files_remove(dir, id, keep_log);
}
