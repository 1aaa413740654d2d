/* Many at once: what bulk actions share, and what dead letters have in common.
 *
 * A bulk action is a command for each thing, all of them posted at once, so that the engine makes them durable
 * together; the last one to be done wakes the request. Each is judged on its own: what somebody else changed
 * meanwhile, or what there is no room for, is skipped and stays what it is. */
#ifndef PAWL_API_API_BULK_H
#define PAWL_API_API_BULK_H

#include <stdatomic.h>

#include "api/api_call.h"
#include "store/store.h"

/* In the request's arena: it lives until the request has been answered, and no command outlives that. */
struct api_bulk {
    struct api_call *call;
    uint32_t matched;
    bool more;                  /* more may match */
    struct command *commands;   /* room for all that matched */
    uint64_t tasks;             /* of all runs that are asked for */
    void (*reply)(struct api_call *call, const struct api_bulk *bulk, uint32_t done, uint32_t skipped);
    atomic_uint left;           /* commands that are not done, and 1 while they are being posted */
    atomic_uint done;
};

/* What every command of a bulk action says. */
struct command api_bulk_command(struct api_bulk *bulk);
/* Posts the first `ready` commands; the request is answered by `reply` when they are done. The caller touches nothing
 * afterwards. */
void api_bulk_post(struct api_bulk *bulk, uint32_t ready);

/* Dead letters one after the other, newest first. */
struct api_bulk_search {
    struct uuid dag_id;                 /* zero: any */
    bool by_resolution;
    enum resolution resolution;         /* when by_resolution */
    const char *error;                  /* normalised; NULL: any */
    struct uuid before;                 /* zero: from the newest */
    bool (*take)(void *context, const struct store_letter *letter); /* false: enough */
    void *context;
};
/* Letters looked at in one search. */
enum { API_BULK_LETTERS_MAX = 20000 };
/* *ret_next: the search ended early, at enough or after API_BULK_LETTERS_MAX; it goes on before this id. Else zero. */
int api_bulk_search_letters(struct store *store, const struct api_bulk_search *search, struct uuid *ret_next,
                            struct error *err);

/* Appends `text` with paths as PATH, ids (UUIDs and other hexadecimal words of 8 and more with a digit) as ID and
 * numbers as N. Pure. */
void api_bulk_normalise(const char *text, struct buf *out);

#endif
