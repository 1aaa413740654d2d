#include "worker/curl.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

/* The name carries the ABI: what the header says holds for every library of that name. */
#define LIBRARY "libcurl.so.4"

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
    {"curl_global_init", offsetof(struct worker_curl, global_init)},
    {"curl_global_cleanup", offsetof(struct worker_curl, global_cleanup)},
    {"curl_easy_init", offsetof(struct worker_curl, easy_init)},
    {"curl_easy_cleanup", offsetof(struct worker_curl, easy_cleanup)},
    {"curl_easy_reset", offsetof(struct worker_curl, easy_reset)},
    {"curl_easy_setopt", offsetof(struct worker_curl, easy_set)},
    {"curl_easy_getinfo", offsetof(struct worker_curl, easy_get)},
    {"curl_easy_strerror", offsetof(struct worker_curl, easy_strerror)},
    {"curl_slist_append", offsetof(struct worker_curl, slist_append)},
    {"curl_slist_free_all", offsetof(struct worker_curl, slist_free_all)},
    {"curl_multi_init", offsetof(struct worker_curl, multi_init)},
    {"curl_multi_cleanup", offsetof(struct worker_curl, multi_cleanup)},
    {"curl_multi_setopt", offsetof(struct worker_curl, multi_set)},
    {"curl_multi_add_handle", offsetof(struct worker_curl, multi_add)},
    {"curl_multi_remove_handle", offsetof(struct worker_curl, multi_remove)},
    {"curl_multi_assign", offsetof(struct worker_curl, multi_assign)},
    {"curl_multi_socket_action", offsetof(struct worker_curl, multi_action)},
    {"curl_multi_info_read", offsetof(struct worker_curl, multi_read)},
};

int worker_curl_open(struct worker_curl *curl, struct error *err)
{
    int code = 0;
    *curl = (struct worker_curl){.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)};
    if (!curl->library)
        return error_set(err, ERROR_IO, "http tasks need libcurl: %s", dlerror());
    for (size_t i = 0; i < sizeof functions / sizeof functions[0] && !code; i++) {
        void *function = dlsym(curl->library, functions[i].name);
        if (!function)
            code = error_set(err, ERROR_IO, "http tasks need a newer libcurl: %s", dlerror());
        /* POSIX gives functions as object pointers; both have one representation. */
        memcpy((char *)curl + functions[i].offset, &function, sizeof function);
    }
    if (!code && curl->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        code = error_set(err, ERROR_IO, "libcurl cannot be used");
    if (code) {
        (void)dlclose(curl->library);
        curl->library = NULL;
    }
    return code;
}

void worker_curl_close(struct worker_curl *curl)
{
    if (!curl->library)
        return;
    curl->global_cleanup();
    (void)dlclose(curl->library);
    curl->library = NULL;
}
