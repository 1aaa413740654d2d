/* See api_event_ring.h. Every event lies at slots[number % events_max]; oldest..newest are there. A reader of all
 * events walks the numbers; events of one run are linked by next_of_run, so that a reader of one run never looks at
 * others:
 *
 *     add        links the event to its run's newest and gives it to the run's readers that had nothing (next == 0)
 *     read       sends `next`, goes on to its next_of_run; 0: up to date, sleep until add finds the reader
 *
 * The lock is held for copying texts, never while waking: a woken connection may be closing, and its end takes it. */
#include "api/api_event_ring.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

enum { ID_TEXT_MAX = 48 };

struct event {
    struct uuid run_id;     /* zero: of no run */
    uint64_t next_of_run;   /* number of the run's next event; 0: none yet */
    char *text;             /* the complete block */
    size_t len;
    bool ends_run;
};

/* What is known of a run: there while it has events in the ring or readers. */
struct line {
    struct uuid run_id;
    uint64_t newest;        /* number of its newest event that is kept; 0: none */
    struct api_event_reader *readers;
};

struct api_event_reader {
    struct api_event_ring *ring;
    struct http_stream *stream;     /* a reference; NULL: not attached yet */
    struct line *line;              /* NULL: reads all events */
    uint64_t next;                  /* number to send next; of a run: 0 when there is none */
    struct buf own;                 /* sent first: what only this reader gets, or the rest of a long event */
    size_t own_sent;
    bool beat;
    bool over;                      /* ends when `own` is sent */
    bool is_far;                    /* needs what other nodes tell */
    bool is_idle;                   /* had nothing to send the last time: sleeps, or is about to */
    struct api_event_reader *older; /* of all readers, or of the line's */
    struct api_event_reader *newer;
};

struct api_event_ring {
    pthread_mutex_t lock;
    int64_t start_ms;
    size_t events_max;
    struct event *slots;            /* NULL before the first event */
    uint64_t oldest;                /* number of the oldest kept: newest + 1 when there is none */
    uint64_t newest;                /* last number given; only the adding thread changes it */
    size_t bytes;
    struct map lines;               /* run id -> line */
    struct api_event_reader *readers; /* of all events */
    size_t reader_count;            /* both kinds */
    size_t far_count;               /* of them: is_far */
    struct http_stream **wake;      /* the adding thread's: references */
    size_t wake_count, wake_cap;
};

struct api_event_ring *api_event_ring_new(int64_t start_ms, size_t events_max)
{
    assert(events_max > 0);
    struct api_event_ring *ring = mem_new(struct api_event_ring);
    int rc = pthread_mutex_init(&ring->lock, NULL);
    assert(rc == 0);
    (void)rc;
    ring->start_ms = start_ms;
    ring->events_max = events_max;
    ring->oldest = 1;
    return ring;
}

static void lock(struct api_event_ring *ring)
{
    (void)pthread_mutex_lock(&ring->lock);
}

static void unlock(struct api_event_ring *ring)
{
    (void)pthread_mutex_unlock(&ring->lock);
}

static struct event *slot_of(struct api_event_ring *ring, uint64_t number)
{
    return &ring->slots[number % ring->events_max];
}

/* ---- runs ---- */

static struct line *line_of(struct api_event_ring *ring, struct uuid run_id)
{
    struct line *line = map_get(&ring->lines, run_id.bytes, sizeof run_id.bytes);
    if (!line) {
        line = mem_new(struct line);
        line->run_id = run_id;
        (void)map_set(&ring->lines, line->run_id.bytes, sizeof line->run_id.bytes, line);
    }
    return line;
}

static void drop_idle_line(struct api_event_ring *ring, struct line *line)
{
    if (line->newest || line->readers)
        return;
    (void)map_remove(&ring->lines, line->run_id.bytes, sizeof line->run_id.bytes);
    mem_free(line);
}

/* ---- adding ---- */

static void evict(struct api_event_ring *ring)
{
    struct event *event = slot_of(ring, ring->oldest);
    if (!uuid_is_zero(event->run_id)) {
        struct line *line = line_of(ring, event->run_id);
        if (line->newest == ring->oldest) {
            line->newest = 0;
            drop_idle_line(ring, line);
        }
    }
    ring->bytes -= event->len;
    mem_free(event->text);
    event->text = NULL;
    ring->oldest++;
}

static void wake_later(struct api_event_ring *ring, struct api_event_reader *reader)
{
    if (!reader->stream)
        return;
    ring->wake = mem_grow(ring->wake, &ring->wake_cap, ring->wake_count + 1, sizeof(struct http_stream *));
    ring->wake[ring->wake_count++] = http_stream_ref(reader->stream);
}

static void wake_now(struct api_event_ring *ring)
{
    for (size_t i = 0; i < ring->wake_count; i++) {
        http_stream_wake(ring->wake[i]);
        http_stream_unref(ring->wake[i]);
    }
    ring->wake_count = 0;
}

static void tell_line(struct api_event_ring *ring, struct uuid run_id, uint64_t number)
{
    struct line *line = line_of(ring, run_id);
    if (line->newest)
        slot_of(ring, line->newest)->next_of_run = number;
    line->newest = number;
    for (struct api_event_reader *reader = line->readers; reader; reader = reader->older) {
        if (reader->next)
            continue;
        reader->next = number;
        wake_later(ring, reader);
    }
}

static void format_block(struct buf *out, const struct api_event_ring *ring, uint64_t number, const char *name,
                         const char *data, size_t len)
{
    buf_add_text(out, "event: ");
    buf_add_text(out, name);
    buf_printf(out, "\nid: %lld-%llu\ndata: ", (long long)ring->start_ms, (unsigned long long)number);
    buf_add(out, data, len);
    buf_add_text(out, "\n\n");
}

void api_event_ring_add(struct api_event_ring *ring, const char *name, struct uuid run_id, bool ends_run,
                        const char *data, size_t len)
{
    struct buf text = BUF_INIT;
    uint64_t number = ring->newest + 1;
    format_block(&text, ring, number, name, data, len);
    struct event event = {.run_id = run_id, .len = text.len, .ends_run = ends_run};
    event.text = buf_take(&text);
    lock(ring);
    if (!ring->slots)
        ring->slots = mem_new_array(struct event, ring->events_max);
    while (ring->oldest < number
           && (number - ring->oldest >= ring->events_max || ring->bytes + event.len > API_EVENT_RING_BYTES_MAX))
        evict(ring);
    *slot_of(ring, number) = event;
    ring->bytes += event.len;
    ring->newest = number;
    if (!uuid_is_zero(run_id))
        tell_line(ring, run_id, number);
    unlock(ring);
}

void api_event_ring_add_reset(struct api_event_ring *ring)
{
    /* Readers of one run get no event of no run: for them what they had not read is gone, which ends their stream. */
    api_event_ring_forget(ring);
    api_event_ring_add(ring, "reset", (struct uuid){{0}}, false, "{}", 2);
}

static void end_readers(struct api_event_ring *ring, struct line *line, bool far_only)
{
    for (struct api_event_reader *reader = line->readers; reader; reader = reader->older) {
        if (far_only && !reader->is_far)
            continue;
        reader->over = true;
        wake_later(ring, reader);
    }
}

void api_event_ring_add_gap(struct api_event_ring *ring)
{
    size_t cursor = 0;
    api_event_ring_add(ring, "reset", (struct uuid){{0}}, false, "{}", 2);
    lock(ring);
    for (struct map_slot *slot; ring->far_count && (slot = map_next(&ring->lines, &cursor));)
        end_readers(ring, slot->value, true);
    unlock(ring);
}

void api_event_ring_end_run(struct api_event_ring *ring, struct uuid run_id)
{
    lock(ring);
    struct line *line = map_get(&ring->lines, run_id.bytes, sizeof run_id.bytes);
    if (line)
        end_readers(ring, line, false);
    unlock(ring);
}

void api_event_ring_wake(struct api_event_ring *ring)
{
    lock(ring);
    for (struct api_event_reader *reader = ring->readers; reader; reader = reader->older) {
        if (!reader->is_idle || reader->next > ring->newest)
            continue;
        reader->is_idle = false;
        wake_later(ring, reader);
    }
    unlock(ring);
    wake_now(ring);
}

static void beat_all(struct api_event_ring *ring, struct api_event_reader *readers)
{
    for (struct api_event_reader *reader = readers; reader; reader = reader->older) {
        reader->beat = true;
        wake_later(ring, reader);
    }
}

void api_event_ring_beat(struct api_event_ring *ring)
{
    size_t cursor = 0;
    lock(ring);
    beat_all(ring, ring->readers);
    for (struct map_slot *slot; (slot = map_next(&ring->lines, &cursor));)
        beat_all(ring, ((struct line *)slot->value)->readers);
    unlock(ring);
    wake_now(ring);
}

/* The number skipped is the gap: an id from before it is older than all that will be kept. Readers of one run that
 * were up to date cannot tell that they missed something, so they are told by a number that is gone. */
void api_event_ring_forget(struct api_event_ring *ring)
{
    size_t cursor = 0;
    lock(ring);
    while (ring->oldest <= ring->newest)
        evict(ring);
    for (struct map_slot *slot; (slot = map_next(&ring->lines, &cursor));)
        for (struct api_event_reader *reader = ((struct line *)slot->value)->readers; reader; reader = reader->older) {
            reader->next = ring->newest + 1;
            wake_later(ring, reader);
        }
    ring->newest++;
    ring->oldest = ring->newest + 1;
    for (struct api_event_reader *reader = ring->readers; reader; reader = reader->older)
        if (reader->next == ring->newest)
            reader->next = ring->oldest; /* was up to date: goes on with what comes, which is told to be a reset */
    mem_free(ring->slots);
    ring->slots = NULL;
    unlock(ring);
    wake_now(ring);
}

size_t api_event_ring_reader_count(struct api_event_ring *ring)
{
    lock(ring);
    size_t count = ring->reader_count;
    unlock(ring);
    return count;
}

size_t api_event_ring_far_count(struct api_event_ring *ring)
{
    lock(ring);
    size_t count = ring->far_count;
    unlock(ring);
    return count;
}

void api_event_ring_free(struct api_event_ring *ring)
{
    if (!ring)
        return;
    assert(ring->reader_count == 0);
    while (ring->oldest <= ring->newest)
        evict(ring);
    assert(ring->lines.count == 0);
    map_fini(&ring->lines);
    mem_free(ring->slots);
    for (size_t i = 0; i < ring->wake_count; i++)
        http_stream_unref(ring->wake[i]);
    mem_free(ring->wake);
    (void)pthread_mutex_destroy(&ring->lock);
    mem_free(ring);
}

/* ---- readers ---- */

/* The number after `-` when the id is of this ring. */
static bool parse_id(const struct api_event_ring *ring, const char *id, uint64_t *ret_number)
{
    char start[ID_TEXT_MAX];
    int64_t number;
    int len = snprintf(start, sizeof start, "%lld-", (long long)ring->start_ms);
    if (len <= 0 || strncmp(id, start, (size_t)len) != 0 || !str_parse_int(id + len, 0, INT64_MAX, &number))
        return false;
    *ret_number = (uint64_t)number;
    return true;
}

static uint64_t first_after(struct api_event_ring *ring, const struct line *line, uint64_t number)
{
    for (uint64_t i = number + 1; i <= ring->newest; i++)
        if (uuid_equal(slot_of(ring, i)->run_id, line->run_id))
            return i;
    return 0;
}

static void link_reader(struct api_event_ring *ring, struct api_event_reader *reader)
{
    struct api_event_reader **head = reader->line ? &reader->line->readers : &ring->readers;
    reader->older = *head;
    if (reader->older)
        reader->older->newer = reader;
    *head = reader;
    ring->reader_count++;
    reader->is_far = !reader->line;
    ring->far_count += reader->is_far;
}

struct api_event_reader *api_event_reader_new(struct api_event_ring *ring, const struct uuid *run_id,
                                              const char *last_id, enum api_event_start *ret_start)
{
    struct api_event_reader *reader = mem_new(struct api_event_reader);
    uint64_t number = 0;
    reader->ring = ring;
    lock(ring);
    *ret_start = API_EVENT_FRESH;
    if (last_id)
        *ret_start = parse_id(ring, last_id, &number) && number <= ring->newest && number + 1 >= ring->oldest
                         ? API_EVENT_RESUMED
                         : API_EVENT_MISSED;
    if (*ret_start != API_EVENT_RESUMED)
        number = ring->newest;
    reader->line = run_id ? line_of(ring, *run_id) : NULL;
    reader->next = reader->line ? first_after(ring, reader->line, number) : number + 1;
    link_reader(ring, reader);
    unlock(ring);
    /* The id alone: who loses the connection before the first event can resume all the same. */
    buf_printf(&reader->own, "retry: 2000\nid: %lld-%llu\n\n", (long long)ring->start_ms, (unsigned long long)number);
    if (*ret_start == API_EVENT_MISSED)
        buf_add_text(&reader->own, "event: reset\ndata: {}\n\n");
    return reader;
}

void api_event_reader_free(struct api_event_reader *reader)
{
    struct api_event_ring *ring = reader->ring;
    lock(ring);
    struct line *line = reader->line;
    if (reader->newer)
        reader->newer->older = reader->older;
    else
        *(line ? &line->readers : &ring->readers) = reader->older;
    if (reader->older)
        reader->older->newer = reader->newer;
    ring->reader_count--;
    ring->far_count -= reader->is_far;
    if (line)
        drop_idle_line(ring, line);
    unlock(ring);
    http_stream_unref(reader->stream);
    buf_fini(&reader->own);
    mem_free(reader);
}

void api_event_reader_set_far(struct api_event_reader *reader)
{
    lock(reader->ring);
    reader->ring->far_count += !reader->is_far;
    reader->is_far = true;
    unlock(reader->ring);
}

bool api_event_reader_has_more(struct api_event_reader *reader)
{
    lock(reader->ring);
    bool has_more = reader->line ? reader->next != 0 : reader->next <= reader->ring->newest;
    unlock(reader->ring);
    return has_more;
}

void api_event_reader_put(struct api_event_reader *reader, const char *name, const char *data, size_t len, bool ends)
{
    assert(!reader->stream);
    buf_printf(&reader->own, "event: %s\ndata: ", name);
    buf_add(&reader->own, data, len);
    buf_add_text(&reader->own, "\n\n");
    lock(reader->ring);
    reader->over = reader->over || ends;
    unlock(reader->ring);
}

static size_t send_own(struct api_event_reader *reader, char *out, size_t max)
{
    size_t left = reader->own.len - reader->own_sent;
    size_t len = left < max ? left : max;
    if (len)
        memcpy(out, reader->own.bytes + reader->own_sent, len);
    reader->own_sent += len;
    if (reader->own_sent == reader->own.len) {
        buf_fini(&reader->own);
        reader->own_sent = 0;
    }
    return len;
}

/* Copies whole events; one that is longer than all of `max` goes by way of `own`. */
static size_t send_events(struct api_event_reader *reader, char *out, size_t max, bool *ret_dropped)
{
    struct api_event_ring *ring = reader->ring;
    size_t sent = 0;
    while (!reader->over && reader->next && reader->next <= ring->newest) {
        if (reader->next < ring->oldest) {
            *ret_dropped = true;
            break;
        }
        const struct event *event = slot_of(ring, reader->next);
        if (event->len > max - sent) {
            if (sent)
                break;
            buf_add(&reader->own, event->text, event->len);
            sent = send_own(reader, out, max);
        } else {
            memcpy(out + sent, event->text, event->len);
            sent += event->len;
        }
        reader->over = reader->line && event->ends_run;
        reader->next = reader->line ? event->next_of_run : reader->next + 1;
        if (reader->own.len)
            break;
    }
    return sent;
}

static ssize_t read_events(void *context, char *out, size_t max)
{
    static const char beat[] = ":\n\n";
    struct api_event_reader *reader = context;
    bool dropped = false;
    lock(reader->ring);
    size_t len = reader->own.len ? send_own(reader, out, max) : 0;
    if (!reader->own.len)
        len += send_events(reader, out + len, max - len, &dropped);
    if (!len && reader->beat && max >= sizeof beat - 1) {
        len = sizeof beat - 1;
        memcpy(out, beat, len);
    }
    bool ends = !len && (dropped || reader->over);
    reader->beat = false;
    reader->is_idle = !len && !ends;
    unlock(reader->ring);
    return ends ? -1 : (ssize_t)len;
}

static void close_reader(void *context)
{
    api_event_reader_free(context);
}

void api_event_reader_attach(struct api_event_reader *take_reader, struct http_request *request)
{
    static const struct http_stream_ops ops = {.read = read_events, .close = close_reader};
    struct http_stream *stream = http_reply_stream(request, 200, "text/event-stream", &ops, take_reader);
    lock(take_reader->ring);
    take_reader->stream = stream;
    unlock(take_reader->ring);
}
