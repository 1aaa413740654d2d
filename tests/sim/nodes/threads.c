/* Threads of which one runs at a time: who is resumed runs until it waits. */
#include "nodes.h"

#include "base/mem.h"

struct thread {
    pthread_t thread;
    void *(*run)(void *);
    void *context;
    bool runs, ended;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct thread *resumed;

static void *begin(void *context)
{
    struct thread *thread = context;
    (void)pthread_mutex_lock(&lock);
    while (!thread->runs)
        (void)pthread_cond_wait(&changed, &lock);
    (void)pthread_mutex_unlock(&lock);
    (void)thread->run(thread->context);
    (void)pthread_mutex_lock(&lock);
    thread->ended = true;
    thread->runs = false;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

int sim_thread_create(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    struct thread *thread = mem_new(struct thread);
    thread->run = run;
    thread->context = context;
    current->thread = thread;
    int failed = pthread_create(&thread->thread, attributes, begin, thread);
    *ret_thread = thread->thread;
    return failed;
}

void sim_thread_resume(struct thread *thread)
{
    (void)pthread_mutex_lock(&lock);
    resumed = thread;
    thread->runs = !thread->ended;
    (void)pthread_cond_broadcast(&changed);
    while (thread->runs)
        (void)pthread_cond_wait(&changed, &lock);
    (void)pthread_mutex_unlock(&lock);
}

void sim_thread_wait(void)
{
    (void)pthread_mutex_lock(&lock);
    struct thread *thread = resumed;
    thread->runs = false;
    (void)pthread_cond_broadcast(&changed);
    while (!thread->runs)
        (void)pthread_cond_wait(&changed, &lock);
    (void)pthread_mutex_unlock(&lock);
}

int sim_thread_join(pthread_t id, void **ret_result)
{
    struct thread *thread = current->thread;
    while (!thread->ended)
        sim_thread_resume(thread);
    int failed = pthread_join(id, ret_result);
    mem_free(thread);
    current->thread = NULL;
    return failed;
}
