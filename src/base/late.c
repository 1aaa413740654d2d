#include "base/late.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "base/log.h"

void *late_resolve(uint32_t index)
{
    const struct late_function *function = &late_functions[index];
    void *library = dlopen(function->library, RTLD_NOW | RTLD_LOCAL); /* kept; again only counts */
    void *address = library ? dlsym(library, function->name) : NULL;
    if (!address) {
        log_error("a library cannot be used: %s", dlerror());
        abort();
    }
    return address;
}
