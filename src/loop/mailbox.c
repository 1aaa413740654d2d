#include "loop/mailbox.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"

static void **link_of(const struct mailbox *mailbox, void *letter)
{
    return (void **)(void *)((char *)letter + mailbox->link_offset);
}

int mailbox_init(struct mailbox *mailbox, size_t link_offset)
{
    *mailbox = (struct mailbox){.link_offset = link_offset};
    mailbox->end = &mailbox->first;
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->fd < 0 || pthread_mutex_init(&mailbox->lock, NULL) != 0)
        return ERROR_IO;
    return 0;
}

void mailbox_fini(struct mailbox *mailbox)
{
    (void)close(mailbox->fd);
    (void)pthread_mutex_destroy(&mailbox->lock);
}

bool mailbox_post(struct mailbox *mailbox, void *letter)
{
    *link_of(mailbox, letter) = NULL;
    (void)pthread_mutex_lock(&mailbox->lock);
    bool open = !mailbox->closed, first = !mailbox->first;
    if (open) {
        *mailbox->end = letter;
        mailbox->end = link_of(mailbox, letter);
    }
    (void)pthread_mutex_unlock(&mailbox->lock);
    if (open && first) {
        uint64_t one = 1;
        ssize_t written = write(mailbox->fd, &one, sizeof one);
        (void)written; /* only fails when the counter is full: readable all the same */
    }
    return open;
}

void *mailbox_take(struct mailbox *mailbox)
{
    uint64_t count;
    ssize_t got = read(mailbox->fd, &count, sizeof count);
    (void)got; /* nothing there is fine */
    (void)pthread_mutex_lock(&mailbox->lock);
    void *first = mailbox->first;
    mailbox->first = NULL;
    mailbox->end = &mailbox->first;
    (void)pthread_mutex_unlock(&mailbox->lock);
    return first;
}

void mailbox_close(struct mailbox *mailbox)
{
    (void)pthread_mutex_lock(&mailbox->lock);
    mailbox->closed = true;
    (void)pthread_mutex_unlock(&mailbox->lock);
}
