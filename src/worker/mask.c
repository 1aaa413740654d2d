/* Every place of the text is held against every form that begins with its first two bytes; a table of such pairs sends
 * nearly all places on at once. A form that fits as far as the text goes stops the walk there: from that place on the
 * text waits. So a line that has nothing to do with a secret is never held up. */
#include "worker/mask.h"

#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "worker/protocol.h"

enum { PAIR_BITS = 4096 };

struct form {
    const char *bytes;
    size_t len;             /* at least LIMIT_SECRET_BYTES_MIN */
};

/* A text that is being looked at. */
struct walk {
    struct buf held;        /* fed and not decided */
    size_t covered;         /* so many bytes at the front of held belong to what was hidden already */
};

struct worker_mask {
    struct arena arena;
    struct form *forms;
    size_t form_count, form_cap;
    unsigned char pairs[PAIR_BITS / 8];
    struct walk output;
};

/* ---- forms ---- */

static unsigned pair_of(const char *bytes)
{
    return ((unsigned char)bytes[0] * 31u + (unsigned char)bytes[1]) % PAIR_BITS;
}

static void add_form(struct worker_mask *mask, const char *bytes, size_t len)
{
    if (len < LIMIT_SECRET_BYTES_MIN)
        return;
    for (size_t i = 0; i < mask->form_count; i++)
        if (mask->forms[i].len == len && memcmp(mask->forms[i].bytes, bytes, len) == 0)
            return;
    mask->forms = mem_grow(mask->forms, &mask->form_cap, mask->form_count + 1, sizeof *mask->forms);
    mask->forms[mask->form_count++] = (struct form){arena_dup(&mask->arena, bytes, len), len};
    unsigned pair = pair_of(bytes);
    mask->pairs[pair / 8] = (unsigned char)(mask->pairs[pair / 8] | 1u << pair % 8);
}

static void add_lines(struct worker_mask *mask, const char *value)
{
    while (*value) {
        size_t len = strcspn(value, "\r\n");
        if (len >= MASK_LINE_MIN)
            add_form(mask, value, len);
        value += len + strspn(value + len, "\r\n");
    }
}

/* The digits that follow from the value alone when `before` bytes of something else, 0 to 2, share its first group. */
static void add_base64(struct worker_mask *mask, const char *value, size_t before, bool for_urls)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const char *last = for_urls ? "-_" : "+/";
    size_t len = strlen(value);
    size_t first_digit = (before * 8 + 5) / 6, end = (before + len) * 8 / 6;
    struct buf text = BUF_INIT;
    for (size_t digit = first_digit; digit < end; digit++) {
        size_t bit = digit * 6 - before * 8, byte = bit / 8, shift = bit % 8;
        unsigned pair = (unsigned)(unsigned char)value[byte] << 8;
        if (byte + 1 < len)
            pair |= (unsigned char)value[byte + 1];
        unsigned number = pair >> (10 - shift) & 63;
        buf_add_char(&text, number < 62 ? digits[number] : last[number - 62]);
    }
    add_form(mask, text.bytes, text.len);
    buf_fini(&text);
}

static void add_percent(struct worker_mask *mask, const char *value, const char *kept, bool upper_case)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    struct buf text = BUF_INIT;
    for (; *value; value++) {
        if (strchr(plain, *value) || strchr(kept, *value))
            buf_add_char(&text, *value);
        else
            buf_printf(&text, upper_case ? "%%%02X" : "%%%02x", (unsigned char)*value);
    }
    add_form(mask, text.bytes, text.len);
    buf_fini(&text);
}

static void add_json(struct worker_mask *mask, const char *value)
{
    struct buf text = BUF_INIT;
    struct json json;
    json_init(&json, &text);
    json_add_string(&json, value);
    add_form(mask, text.bytes + 1, text.len - 2);
    buf_fini(&text);
}

static void add_value(struct worker_mask *mask, const char *value)
{
    add_form(mask, value, strlen(value));
    if (strpbrk(value, "\r\n"))
        add_lines(mask, value);
    for (size_t before = 0; before < 3; before++) {
        add_base64(mask, value, before, false);
        add_base64(mask, value, before, true);
    }
    add_percent(mask, value, "", true);
    add_percent(mask, value, "", false);
    add_percent(mask, value, "/", true);
    add_percent(mask, value, "/", false);
    add_json(mask, value);
}

struct worker_mask *worker_mask_new(const struct job_list *values)
{
    struct worker_mask *mask = mem_new(struct worker_mask);
    const char *cursor = values->bytes, *value;
    while ((value = worker_list_next(values, &cursor)))
        if (strlen(value) >= LIMIT_SECRET_BYTES_MIN)
            add_value(mask, value);
    if (mask->form_count)
        return mask;
    worker_mask_free(mask);
    return NULL;
}

void worker_mask_free(struct worker_mask *mask)
{
    if (!mask)
        return;
    arena_fini(&mask->arena);
    buf_fini(&mask->output.held);
    mem_free(mask->forms);
    mem_free(mask);
}

/* ---- the walk ---- */

/* The longest form that lies at `at`; true: a longer one may, when there is more text. */
static bool find(const struct worker_mask *mask, const char *at, size_t left, size_t *ret_len)
{
    bool open = false;
    *ret_len = 0;
    if (left >= 2 && !(mask->pairs[pair_of(at) / 8] >> pair_of(at) % 8 & 1))
        return false;
    for (size_t i = 0; i < mask->form_count; i++) {
        const struct form *form = &mask->forms[i];
        size_t common = form->len < left ? form->len : left;
        if (memcmp(form->bytes, at, common) != 0)
            continue;
        if (common < form->len)
            open = true;
        else if (form->len > *ret_len)
            *ret_len = form->len;
    }
    return open;
}

static void go(const struct worker_mask *mask, struct walk *walk, bool at_end, struct buf *out)
{
    const char *text = walk->held.bytes;
    size_t len = walk->held.len, i = 0, shown = 0;
    for (; i < len; i++) {
        size_t found;
        bool open = find(mask, text + i, len - i, &found);
        if (open && !at_end)
            break;
        if (open && len - i >= LIMIT_SECRET_BYTES_MIN)
            found = len - i;
        if (found && !walk->covered) {
            buf_add(out, text + shown, i - shown);
            buf_add_text(out, MASK_TEXT);
        }
        if (found > walk->covered)
            walk->covered = found;
        if (walk->covered) {
            walk->covered--;
            shown = i + 1;
        }
    }
    buf_add(out, text + shown, i - shown);
    buf_drop_front(&walk->held, i);
}

void worker_mask_feed(struct worker_mask *mask, const char *bytes, size_t len, struct buf *out)
{
    buf_add(&mask->output.held, bytes, len);
    go(mask, &mask->output, false, out);
}

void worker_mask_end(struct worker_mask *mask, struct buf *out)
{
    go(mask, &mask->output, true, out);
    mask->output.covered = 0;
}

void worker_mask_text(const struct worker_mask *mask, const char *text, struct buf *out)
{
    struct walk walk = {0};
    buf_add_text(&walk.held, text);
    go(mask, &walk, true, out);
    buf_fini(&walk.held);
}
