/* Preloaded into a daemon: while the file TRIPWIRE is there, what a disk would have to keep is not kept. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int trips(void)
{
    const char *wire = getenv("TRIPWIRE");
    int kept = errno, there = wire && access(wire, F_OK) == 0;
    errno = there ? EIO : kept;
    return there;
}

#define SYNC(name)                                          \
    int name(int fd)                                        \
    {                                                       \
        static int (*real)(int);                            \
        if (!real)                                          \
            *(void **)&real = dlsym(RTLD_NEXT, #name);      \
        return trips() ? -1 : real(fd);                     \
    }

SYNC(fsync)
SYNC(fdatasync)
