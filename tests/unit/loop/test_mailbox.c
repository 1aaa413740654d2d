#include "support/check.h"

#include <poll.h>
#include <pthread.h>
#include <stddef.h>

#include "base/mem.h"
#include "loop/mailbox.h"

enum { THREADS = 4, LETTERS = 5000 };

struct letter {
    int sender;
    int number;
    struct letter *next;
};

struct sender {
    struct mailbox *mailbox;
    int number;
};

static void *send_all(void *context)
{
    const struct sender *sender = context;
    for (int i = 0; i < LETTERS; i++) {
        struct letter *letter = mem_new(struct letter);
        letter->sender = sender->number;
        letter->number = i;
        assert_true(mailbox_post(sender->mailbox, letter));
    }
    return NULL;
}

/* Nothing is lost and each sender's letters keep their order, however the threads interleave. */
static void test_many_senders(void **state)
{
    (void)state;
    struct mailbox mailbox;
    assert_int_equal(mailbox_init(&mailbox, offsetof(struct letter, next)), 0);
    pthread_t threads[THREADS];
    struct sender senders[THREADS];
    for (int i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){&mailbox, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    int next[THREADS] = {0}, got = 0;
    while (got < THREADS * LETTERS) {
        struct pollfd ready = {.fd = mailbox.fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 60000), 1);
        for (struct letter *letter = mailbox_take(&mailbox), *after; letter; letter = after) {
            after = letter->next;
            assert_int_equal(letter->number, next[letter->sender]++);
            mem_free(letter);
            got++;
        }
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    mailbox_fini(&mailbox);
}

static void test_closed(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct letter before = {.number = 1}, after = {.number = 2};
    assert_int_equal(mailbox_init(&mailbox, offsetof(struct letter, next)), 0);
    assert_true(mailbox_post(&mailbox, &before));
    mailbox_close(&mailbox);
    assert_false(mailbox_post(&mailbox, &after));
    assert_ptr_equal(mailbox_take(&mailbox), &before);
    assert_null(before.next);
    assert_null(mailbox_take(&mailbox));
    mailbox_fini(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_senders), cmocka_unit_test(test_closed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
