#include "worker/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

char *worker_file(const char *dir, struct uuid id, const char *ending)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    return mem_printf("%s/%s.%s", dir, text, ending);
}

static void remove_one(const char *dir, struct uuid id, const char *ending)
{
    char *path = worker_file(dir, id, ending);
    (void)unlink(path);
    mem_free(path);
}

/* A flat folder of our own files. */
static void remove_tmp(const char *dir, struct uuid id)
{
    char *path = worker_file(dir, id, "tmp");
    DIR *folder = opendir(path);
    if (folder) {
        struct dirent *item;
        while ((item = readdir(folder)))
            if (item->d_name[0] != '.')
                (void)unlinkat(dirfd(folder), item->d_name, 0);
        (void)closedir(folder);
        (void)rmdir(path);
    }
    mem_free(path);
}

void worker_files_remove(const char *dir, struct uuid id, bool keep_log)
{
    struct stat st;
    char *log = worker_file(dir, id, "log");
    if (!keep_log || (stat(log, &st) == 0 && st.st_size == 0))
        (void)unlink(log);
    mem_free(log);
    remove_tmp(dir, id);
    remove_one(dir, id, "sock");
    remove_one(dir, id, "run");
    remove_one(dir, id, "lock");
}
