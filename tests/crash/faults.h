/* Between the calls that can fail or kill (calls.c) and what decides it (faults.c). */
#ifndef PAWL_TESTS_FAULTS_H
#define PAWL_TESTS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#define FAULT_NAMES(X)                                                                                     \
    X(malloc) X(calloc) X(realloc) X(open) X(read) X(pread) X(write) X(writev) X(pwrite) X(fsync)             \
    X(fdatasync) X(ftruncate) X(posix_fallocate) X(mmap) X(mkdir) X(rename) X(unlink) X(flock) X(clone3)      \
    X(posix_spawn) X(pidfd_open) X(waitid) X(pipe2) X(epoll_create1) X(epoll_ctl) X(epoll_wait) X(eventfd)    \
    X(signalfd) X(timerfd_create) X(pthread_create) X(socket) X(bind) X(listen) X(connect) X(accept4)         \
    X(recv) X(recvmsg) X(send) X(tell) X(sendmsg) X(sqlite3_open_v2) X(sqlite3_exec) X(sqlite3_prepare_v3)    \
    X(sqlite3_step) X(sqlite3_wal_checkpoint_v2)

enum fault_name {
#define X(name) FAULT_##name,
    FAULT_NAMES(X)
#undef X
        FAULT_NAMES_MAX
};

enum fault_what { FAULT_NOTHING, FAULT_KILL_BEFORE, FAULT_KILL_AFTER, FAULT_FAIL };

/* What has to happen at this call. Counts it; does not return when it has to die before it. */
enum fault_what fault_meet(enum fault_name name);
int fault_errno(void);
bool fault_kills(void); /* and fails nothing */
_Noreturn void fault_end_here(void);

#endif
