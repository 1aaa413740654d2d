#include "server/local_dir.h"

#include "base/mem.h"

char *server_local_dir_path(const char *data_dir, int n)
{
    return mem_printf("%s/local/%d", data_dir, n);
}

int server_local_dir_open(const char *data_dir, struct store_dir *ret_dir, struct error *err)
{
    int code = ERROR_STORE_LOCKED;
    for (int n = 1; n <= SERVER_LOCAL_DIRS_MAX && code == ERROR_STORE_LOCKED; n++) {
        char *path = server_local_dir_path(data_dir, n);
        code = store_dir_open(path, ret_dir, err);
        mem_free(path);
    }
    return code;
}
