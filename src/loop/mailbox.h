/* A queue into one thread: any thread posts, the owner waits on a descriptor and takes all at once, in order.
 * Intrusive: a letter holds its own link, so posting never allocates and never fails. */
#ifndef PAWL_LOOP_MAILBOX_H
#define PAWL_LOOP_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct mailbox {
    pthread_mutex_t lock;
    void *first;            /* letters in order; the link is the pointer at link_offset */
    void **end;             /* where the next one is linked */
    size_t link_offset;
    bool closed;
    int fd;                 /* eventfd: readable when something waits */
};

/* link_offset: offsetof(struct letter, next), where next is a pointer to struct letter. Returns 0 or ERROR_IO. */
int mailbox_init(struct mailbox *mailbox, size_t link_offset);
void mailbox_fini(struct mailbox *mailbox);
/* Any thread. false when the box is closed: the letter stays the caller's. */
bool mailbox_post(struct mailbox *mailbox, void *letter);
/* The owner. The first letter of a chain linked by their own links, or NULL; clears the descriptor. */
void *mailbox_take(struct mailbox *mailbox);
/* The owner. Nothing is posted after it; what was, mailbox_take still gives. */
void mailbox_close(struct mailbox *mailbox);

#endif
