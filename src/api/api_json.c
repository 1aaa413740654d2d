#include "api/api_json.h"

#include "base/mem.h"

/* jansson's allocator has no context: what a reading was refused is known by its thread. */
/* Aligned: the linker puts a program's protected pages where its thread-local data begin, and one odd byte there made
 * programs that could not be started. */
static _Alignas(64) _Thread_local bool starved;

static void *allocate(size_t size)
{
    void *ptr = mem_try_alloc(size);
    starved |= !ptr;
    return ptr;
}

void api_json_init(void)
{
    json_set_alloc_funcs(allocate, mem_free);
}

json_t *api_json_read(const char *bytes, size_t len, json_error_t *ret_problem, bool *ret_starved)
{
    starved = false;
    json_t *root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, ret_problem);
    *ret_starved = starved;
    if (starved) {
        json_decref(root);
        root = NULL;
    }
    return root;
}
