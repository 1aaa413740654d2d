/* Events of the API's streams, from node to node: what happens on one is heard by clients of all. Nothing is said
 * while nobody listens.
 *
 *     listener    says so with its load (cluster.c), as long as its API wants to hear of others; then it hears a
 *                 channel that other nodes do not
 *     teller      greets whoever begins to listen; then its events are lines (api_hear), cut into words of WORD_MAX
 *                 bytes with numbers, sent every EVERY_MS, all of them in one statement
 *     listener    puts the lines together again. A number that is missing, a node that was not heard of for a lease, a
 *                 connection of its own that broke: `reset`, clients read everything anew
 *
 * A word: `ev EPOCH NUMBER b TEXT`; b: a line begins with it, c: it goes on. A greeting is one without a text.
 *
 * What does not fit into OUT_MAX bytes, which leave at BYTES_PER_MS, is dropped, with all that is waiting and
 * everything in the second that follows; then comes a `reset`. So what nodes say is bounded, and clients of a cluster
 * that is so busy read lists once a second instead of every event. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "server/cluster_model.h"

enum { WORD_MAX = 7900, HEAD_MAX = 64, EVERY_MS = 50, BYTES_PER_MS = 4096, OUT_MAX = 1024 * 1024, QUIET_MS = 1000 };

/* ---- any thread ---- */

void server_cluster_tell_event(struct server_cluster *cluster, const char *name, struct uuid run_id, bool ends_run,
                               const char *data, size_t len)
{
    struct cluster_events *events = &cluster->events;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(run_id, id);
    (void)pthread_mutex_lock(&cluster->lock);
    bool kick = events->is_told && !events->out.len && !events->missing;
    if (!events->is_told || events->missing) {
        /* nobody hears it, or it is missing already */
    } else if (!name || events->out.len + len > OUT_MAX) {
        events->missing = true;
        events->quiet_ms = clock_boot_ms() + (name ? QUIET_MS : 0);
        buf_clear(&events->out);
    } else {
        buf_printf(&events->out, "%s %s %d ", name, id, ends_run);
        buf_add(&events->out, data, len);
        buf_add_char(&events->out, '\n');
    }
    (void)pthread_mutex_unlock(&cluster->lock);
    if (kick)
        server_cluster_kick(cluster);
}

/* ---- telling ---- */

/* How much of text fits into a word, no character cut in two. */
static size_t piece_len(const char *text, size_t len)
{
    size_t max = WORD_MAX - HEAD_MAX;
    if (len <= max)
        return len;
    while (max > 1 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static int say_words(struct server_cluster *cluster, const struct buf *out, struct error *err)
{
    struct cluster_events *events = &cluster->events;
    struct arena arena = {0};
    size_t max = out->len / (WORD_MAX / 2) + 2, count = 0;
    const char **words = arena_array(&arena, max, sizeof *words);
    for (size_t at = 0, len; count == 0 || at < out->len; at += len) {
        len = piece_len(out->bytes + at, out->len - at);
        char *word = arena_alloc(&arena, HEAD_MAX + len + 1);
        int head = snprintf(word, HEAD_MAX, "ev %llu %llu %c ", (unsigned long long)core_store(cluster->core)->epoch,
                            (unsigned long long)++events->number,
                            at == 0 || out->bytes[at - 1] == '\n' ? 'b' : 'c');
        if (len)
            memcpy(word + head, out->bytes + at, len);
        word[(size_t)head + len] = '\0';
        words[count++] = word;
    }
    int code = store_cluster_tell(cluster->link, words, count, err);
    if (code) { /* heard or not: a number is missing, and the next word says so as soon as it can */
        events->number++;
        events->greets = true;
    }
    arena_fini(&arena);
    return code;
}

static bool is_told(const struct server_cluster *cluster)
{
    int64_t since_ms = clock_boot_ms() - cluster->options.lease_ms;
    for (size_t i = 0; i < cluster->load_count; i++)
        if (cluster->loads[i].listens && cluster->loads[i].heard_ms >= since_ms)
            return true;
    return false;
}

static void set_told(struct server_cluster *cluster, bool told)
{
    struct cluster_events *events = &cluster->events;
    (void)pthread_mutex_lock(&cluster->lock);
    bool changed = told != events->is_told;
    events->is_told = told;
    if (changed) {
        buf_clear(&events->out);
        events->missing = told; /* what happened meanwhile */
        events->quiet_ms = 0;
    }
    (void)pthread_mutex_unlock(&cluster->lock);
    if (changed)
        cluster->options.events->set_told(cluster->options.events_context, told);
    events->greets = told && events->greets;
}

/* Takes what there is to say; false: nothing now. *wait_ms: not longer than until there is. */
static bool take_out(struct server_cluster *cluster, struct buf *ret_out, int64_t *wait_ms)
{
    struct cluster_events *events = &cluster->events;
    int64_t now_ms = clock_boot_ms(), at_ms = events->next_ms;
    bool takes = false;
    (void)pthread_mutex_lock(&cluster->lock);
    if (events->missing && events->quiet_ms > at_ms)
        at_ms = events->quiet_ms;
    bool waits = events->out.len || events->missing;
    if (now_ms >= at_ms && waits) {
        events->number += events->missing; /* listeners see that one is missing */
        events->missing = false;
        *ret_out = events->out;
        events->out = BUF_INIT;
        takes = true;
    }
    (void)pthread_mutex_unlock(&cluster->lock);
    if (waits && !takes && at_ms - now_ms < *wait_ms)
        *wait_ms = at_ms - now_ms;
    return takes;
}

static int tell(struct server_cluster *cluster, int64_t *wait_ms, struct error *err)
{
    struct buf out = BUF_INIT;
    set_told(cluster, is_told(cluster));
    if (!take_out(cluster, &out, wait_ms) && !cluster->events.greets)
        return 0;
    cluster->events.greets = false;
    cluster->events.next_ms = clock_boot_ms() + EVERY_MS + (int64_t)(out.len / BYTES_PER_MS);
    int code = say_words(cluster, &out, err);
    buf_fini(&out);
    return code;
}

/* ---- hearing ---- */

static void miss(struct cluster_events *events)
{
    buf_add_text(&events->heard, "reset\n");
}

static struct cluster_voice *find_voice(struct cluster_events *events, uint64_t epoch)
{
    for (size_t i = 0; i < events->voice_count; i++)
        if (events->voices[i].epoch == epoch)
            return &events->voices[i];
    return NULL;
}

static void drop_voice(struct cluster_events *events, struct cluster_voice *voice)
{
    buf_fini(&voice->rest);
    *voice = events->voices[--events->voice_count];
}

static void forget_voices(struct cluster_events *events)
{
    while (events->voice_count)
        drop_voice(events, &events->voices[0]);
}

bool server_cluster_hear_event(struct server_cluster *cluster, const char *word)
{
    struct cluster_events *events = &cluster->events;
    unsigned long long epoch, number;
    char kind;
    int at = 0;
    if (strncmp(word, "ev ", 3) != 0)
        return false;
    if (sscanf(word, "ev %llu %llu %c%n", &epoch, &number, &kind, &at) != 3 || word[at] != ' ' ||
        epoch == core_store(cluster->core)->epoch || !events->listens)
        return true;
    struct cluster_voice *voice = find_voice(events, epoch);
    if (voice && voice->next != number) {
        buf_clear(&voice->rest);
        if (voice->next)
            miss(events);
        voice->next = 0;
    }
    if (kind != 'b' && !(voice && voice->next))
        return true; /* of a line whose beginning was not heard */
    if (!voice && events->voice_count < CLUSTER_NODES_MAX) {
        voice = &events->voices[events->voice_count++];
        *voice = (struct cluster_voice){.epoch = epoch};
        miss(events);
    }
    if (!voice)
        return true;
    voice->next = number + 1;
    voice->heard_ms = clock_boot_ms();
    const char *text = word + at + 1, *end = strrchr(text, '\n');
    if (end) {
        buf_add(&events->heard, voice->rest.bytes, voice->rest.len);
        buf_add(&events->heard, text, (size_t)(end + 1 - text));
        buf_clear(&voice->rest);
        text = end + 1;
    }
    buf_add_text(&voice->rest, text);
    if (voice->rest.len > OUT_MAX)
        drop_voice(events, voice);
    return true;
}

void server_cluster_pass_events(struct server_cluster *cluster)
{
    struct cluster_events *events = &cluster->events;
    if (events->heard.len)
        cluster->options.events->hear(cluster->options.events_context, &events->heard);
}

static bool is_gone(struct server_cluster *cluster, const struct cluster_voice *voice, int64_t since_ms)
{
    const struct cluster_load *load = server_cluster_load(cluster, voice->epoch);
    return voice->heard_ms < since_ms && (!load || load->heard_ms < since_ms);
}

/* Whether all nodes that can tell do; who said nothing for a lease counts no longer. */
static bool hears_all(struct server_cluster *cluster)
{
    struct cluster_events *events = &cluster->events;
    int64_t since_ms = clock_boot_ms() - cluster->options.lease_ms;
    bool all = true;
    for (size_t i = events->voice_count; i-- > 0;) {
        if (is_gone(cluster, &events->voices[i], since_ms)) {
            drop_voice(events, &events->voices[i]);
            miss(events); /* its last words may have stayed unsaid */
        }
    }
    for (size_t i = 0; i < cluster->load_count; i++) {
        const struct cluster_load *load = &cluster->loads[i];
        all = all && (load->heard_ms < since_ms || !load->tells || find_voice(events, load->epoch));
    }
    return all;
}

static int listen_to_others(struct server_cluster *cluster, struct error *err)
{
    const struct server_cluster_options *options = &cluster->options;
    struct cluster_events *events = &cluster->events;
    bool wants = options->events->wants_others(options->events_context);
    uint64_t connection = 0;
    if (!wants && !events->listens)
        return 0;
    int code = store_cluster_listen(cluster->link, wants, &connection, err);
    if (code)
        return code;
    if (wants && connection != events->connection) {
        miss(events);
        for (size_t i = 0; i < events->voice_count; i++)
            events->voices[i].next = 0;
    }
    events->connection = wants ? connection : 0;
    if (wants != events->listens) {
        forget_voices(events);
        cluster->said_free = -1; /* so that it is said at once */
    }
    events->listens = wants;
    return 0;
}

int server_cluster_events(struct server_cluster *cluster, int64_t *wait_ms, struct error *err)
{
    struct cluster_events *events = &cluster->events;
    bool listened = events->listens;
    int code = listen_to_others(cluster, err);
    if (!code)
        code = tell(cluster, wait_ms, err);
    if (listened != events->listens)
        *wait_ms = 0; /* the others are to hear of it */
    bool all = events->listens && hears_all(cluster);
    server_cluster_pass_events(cluster);
    if (all != events->hears_all)
        cluster->options.events->set_hears_all(cluster->options.events_context, all);
    events->hears_all = all;
    return code;
}

void server_cluster_events_fini(struct server_cluster *cluster)
{
    forget_voices(&cluster->events);
    buf_fini(&cluster->events.heard);
    buf_fini(&cluster->events.out);
}
