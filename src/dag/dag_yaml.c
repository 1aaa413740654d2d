/* The builder: libyaml's events in, a tree out.
 *
 * One level per open collection. A finished node is attached to the level above; a finished mapping first gets the
 * pairs of its merges and is checked for duplicate keys. Items of the streamed list live in an arena of their own,
 * which is emptied after each item, unless the item holds an anchor: then it is kept to the end.
 *
 * Two bounds keep hostile input cheap: nodes held, and nodes that aliases stand for. libyaml itself is bounded by
 * ending the parse at LIMIT_YAML_DEPTH_MAX (it looks at most 1024 characters ahead) and by feeding it no more than one
 * scalar's limit without an event in return. */
#include "dag/dag_yaml.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "dag/dag_yaml_check.h"
#include "dag/dag_yaml_error.h"

static_assert(LIMIT_YAML_SCALAR_BYTES_MAX == 4 * 1024 * 1024, "a text of feed() says so");

enum {
    ROOT_LEVEL = 1,         /* levels[0] holds the documents */
    SMALL_MAPPING = 16,     /* keys that are compared one by one */
    FEED_SLACK = 65536,     /* bytes libyaml may have read ahead of its events besides a scalar */
};

struct level {
    struct dag_node *node;
    struct dag_node *last;          /* the last child */
    bool value_next;                /* of a mapping */
    bool streamed;
};

struct builder {
    const struct dag_yaml_options *options;
    struct dag_problems *problems;
    yaml_parser_t parser;
    const char *bytes;
    size_t len;
    size_t fed;                     /* bytes given to libyaml */
    size_t fed_at_event;            /* `fed` when the last event came */
    const char *starved;            /* why the feed ended the parse; NULL: it did not */
    size_t errors_before;
    uint32_t last_line;             /* where the last event ended */
    uint32_t last_column;

    struct arena *arena;            /* of the tree */
    struct arena item_arena;        /* of the current item of the streamed list */
    bool in_item;
    bool item_pinned;               /* the item has an anchor */
    bool streaming_done;

    struct level levels[LIMIT_YAML_DEPTH_MAX + ROOT_LEVEL + 1];
    size_t depth;                   /* open levels, the documents' included */
    struct map anchors;             /* name -> struct dag_node */
    struct arena names;             /* anchors' names */
    size_t anchor_count;
    uint64_t nodes;                 /* written out so far; what merges bring in is not */
    uint64_t held;                  /* of those, not forgotten */
    uint64_t item_nodes;            /* of the current item */
    uint64_t alias_nodes;           /* that aliases stand for */
    size_t documents;
    bool failed;
};

const struct dag_node *dag_node_real(const struct dag_node *node)
{
    return node->kind == DAG_NODE_ALIAS ? node->target : node;
}

const struct dag_node *dag_node_first(const struct dag_node *parent)
{
    return dag_node_real(parent)->first;
}

const struct dag_node *dag_node_next(const struct dag_node *child)
{
    return child->next;
}

const struct dag_node *dag_node_get(const struct dag_node *mapping, const char *key)
{
    const struct dag_node *real = dag_node_real(mapping);
    if (real->kind != DAG_NODE_MAPPING)
        return NULL;
    for (const struct dag_node *child = real->first; child; child = child->next->next) {
        const struct dag_node *name = dag_node_real(child);
        if (strlen(key) == name->len && memcmp(name->text, key, name->len) == 0)
            return child->next;
    }
    return NULL;
}

const char *dag_node_kind_name(enum dag_node_kind kind)
{
    switch (kind) {
    case DAG_NODE_NULL: return "null";
    case DAG_NODE_BOOL: return "a boolean";
    case DAG_NODE_INT: return "an integer";
    case DAG_NODE_FLOAT: return "a number";
    case DAG_NODE_STRING: return "a string";
    case DAG_NODE_LIST: return "a list";
    case DAG_NODE_MAPPING: return "a mapping";
    case DAG_NODE_ALIAS: return "an alias";
    }
    return "nothing";
}

/* An error. Those that end the reading return what this does: false. */
__attribute__((format(printf, 5, 6)))
static bool say(struct builder *b, uint32_t line, uint32_t column, uint32_t length, const char *format, ...)
{
    char text[500];
    size_t prefix = (size_t)snprintf(text, sizeof text, "Invalid YAML: ");
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + prefix, sizeof text - prefix, format, args);
    va_end(args);
    struct dag_problem problem = {.line = line, .column = column, .length = length, .text = text};
    dag_problems_add(b->problems, &problem);
    return false;
}

static struct arena *current_arena(struct builder *b)
{
    return b->in_item ? &b->item_arena : b->arena;
}

static uint16_t underline(const yaml_event_t *event)
{
    const yaml_mark_t *start = &event->start_mark, *end = &event->end_mark;
    if (start->line != end->line || end->column <= start->column)
        return 1;
    size_t length = end->column - start->column;
    return (uint16_t)(length < UINT16_MAX ? length : UINT16_MAX);
}

/* A new node with the event's place, or NULL when too many are held. */
static struct dag_node *new_node(struct builder *b, const yaml_event_t *event, enum dag_node_kind kind, size_t extra)
{
    uint32_t line = (uint32_t)event->start_mark.line + 1, column = (uint32_t)event->start_mark.column + 1;
    if (++b->held > LIMIT_YAML_NODES_MAX) {
        (void)say(b, line, column, 1, "more than %d values", LIMIT_YAML_NODES_MAX);
        return NULL;
    }
    b->nodes++;
    b->item_nodes++;
    struct dag_node *node = arena_alloc(current_arena(b), sizeof *node + extra);
    *node = (struct dag_node){.line = line, .column = column, .kind = (uint8_t)kind, .weight = 1};
    node->length = kind == DAG_NODE_LIST || kind == DAG_NODE_MAPPING ? 1 : underline(event);
    return node;
}

static uint32_t add_weights(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* Whether text under a tag of the core schema is of that tag's kind. */
static bool tag_kind(const char *tag, const char *text, size_t len, enum dag_node_kind *kind)
{
    static const struct {
        const char *name;
        enum dag_node_kind kind;
    } tags[] = {{YAML_STR_TAG, DAG_NODE_STRING}, {YAML_INT_TAG, DAG_NODE_INT},   {YAML_FLOAT_TAG, DAG_NODE_FLOAT},
                {YAML_BOOL_TAG, DAG_NODE_BOOL},  {YAML_NULL_TAG, DAG_NODE_NULL}};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        if (strcmp(tag, tags[i].name) != 0)
            continue;
        enum dag_node_kind found = dag_yaml_plain_kind(text, len);
        *kind = tags[i].kind;
        return *kind == DAG_NODE_STRING || found == *kind || (*kind == DAG_NODE_FLOAT && found == DAG_NODE_INT);
    }
    return false;
}

static const char *tag_name(const char *tag)
{
    static const char core[] = "tag:yaml.org,2002:";
    return strncmp(tag, core, sizeof core - 1) == 0 ? tag + sizeof core - 1 : tag;
}

/* Attaches a finished or opened node to the innermost open level. */
static void attach(struct builder *b, struct dag_node *node)
{
    struct level *top = &b->levels[b->depth - 1];
    if (!top->last)
        top->node->first = node;
    else
        top->last->next = node;
    top->last = node;
    if (top->node->kind != DAG_NODE_MAPPING || top->value_next)
        top->node->len++;
    if (top->node->kind == DAG_NODE_MAPPING)
        top->value_next = !top->value_next;
}

static bool is_merge_key(const struct dag_node *key)
{
    return key->kind == DAG_NODE_STRING && key->plain && key->len == 2 && memcmp(key->text, "<<", 2) == 0;
}

/* Before a node is attached: keys have to be scalars, and not too many. */
static bool check_key(struct builder *b, const yaml_event_t *event, bool scalar)
{
    const struct level *top = &b->levels[b->depth - 1];
    if (top->node->kind != DAG_NODE_MAPPING || top->value_next)
        return true;
    uint32_t line = (uint32_t)event->start_mark.line + 1, column = (uint32_t)event->start_mark.column + 1;
    if (!scalar)
        return say(b, line, column, 1, "a key must be a single value, not a list or a mapping");
    if (top->node->len >= LIMIT_YAML_KEYS_MAX)
        return say(b, line, column, underline(event), "more than %d keys in one mapping", LIMIT_YAML_KEYS_MAX);
    return true;
}

static bool set_anchor(struct builder *b, const yaml_char_t *anchor, struct dag_node *node)
{
    if (!anchor)
        return true;
    if (++b->anchor_count > LIMIT_YAML_ANCHORS_MAX)
        return say(b, node->line, node->column, 1, "more than %d anchors", LIMIT_YAML_ANCHORS_MAX);
    const char *name = arena_strdup(&b->names, (const char *)anchor);
    (void)map_set(&b->anchors, name, strlen(name), node);
    b->item_pinned = b->item_pinned || b->in_item;
    return true;
}

static bool finish_item(struct builder *b);

/* A complete value: its weight goes up, and an item of the streamed list is handed over. */
static bool finish_node(struct builder *b, struct dag_node *node)
{
    struct level *top = &b->levels[b->depth - 1];
    top->node->weight = add_weights(top->node->weight, node->weight);
    if (node->height >= top->node->height)
        top->node->height = (uint16_t)(node->height + 1);
    return !top->streamed || finish_item(b);
}

static bool finish_item(struct builder *b)
{
    struct level *list = &b->levels[b->depth - 1];
    const struct dag_node *item = list->last;
    if (!b->options->stream_item(b->options->context, item, list->node->len - 1))
        return false;
    list->node->first = NULL;
    list->last = NULL;
    if (b->item_pinned) {
        arena_take(b->arena, &b->item_arena);
    } else {
        b->held -= b->item_nodes;
        arena_fini(&b->item_arena);
    }
    b->item_pinned = false;
    b->item_nodes = 0;
    return true;
}

static bool on_scalar(struct builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value, *tag = (const char *)event->data.scalar.tag;
    size_t len = event->data.scalar.length;
    uint32_t line = (uint32_t)event->start_mark.line + 1, column = (uint32_t)event->start_mark.column + 1;
    if (!check_key(b, event, true))
        return false;
    if (len > LIMIT_YAML_SCALAR_BYTES_MAX)
        return say(b, line, column, 1, "a value of more than %d bytes", LIMIT_YAML_SCALAR_BYTES_MAX);
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    enum dag_node_kind kind = plain ? dag_yaml_plain_kind(text, len) : DAG_NODE_STRING;
    if (tag && strcmp(tag, "!") == 0) {
        kind = DAG_NODE_STRING;
    } else if (tag && !tag_kind(tag, text, len, &kind) && !b->options->any_tag) {
        (void)say(b, line, column, underline(event), "the tag '%.60s' does not fit here", tag_name(tag));
    }
    struct dag_node *node = new_node(b, event, kind, len + 1);
    if (!node)
        return false;
    char *copy = (char *)(node + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    node->text = copy;
    node->len = (uint32_t)len;
    node->plain = plain;
    attach(b, node);
    return set_anchor(b, event->data.scalar.anchor, node) && finish_node(b, node);
}

static bool on_alias(struct builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct dag_node *target = map_get(&b->anchors, name, strlen(name));
    uint32_t line = (uint32_t)event->start_mark.line + 1, column = (uint32_t)event->start_mark.column + 1;
    if (!target)
        return say(b, line, column, underline(event), "the alias '*%.60s' has no anchor '&%.60s' before it", name,
                   name);
    if (target->open)
        return say(b, line, column, underline(event), "the alias '*%.60s' is inside its own anchor", name);
    if (!check_key(b, event, target->kind < DAG_NODE_LIST))
        return false;
    b->alias_nodes += target->weight;
    if (b->alias_nodes > LIMIT_YAML_ALIAS_NODES_MAX + LIMIT_YAML_ALIAS_FACTOR_MAX * b->nodes)
        return say(b, line, column, underline(event), "aliases stand for more than %d values",
                   LIMIT_YAML_ALIAS_NODES_MAX);
    if (b->depth + target->height > LIMIT_YAML_DEPTH_MAX + ROOT_LEVEL)
        return say(b, line, column, underline(event), "more than %d nested lists and mappings", LIMIT_YAML_DEPTH_MAX);
    struct dag_node *node = new_node(b, event, DAG_NODE_ALIAS, 0);
    if (!node)
        return false;
    node->target = target;
    node->weight = target->weight;
    node->height = target->height;
    attach(b, node);
    return finish_node(b, node);
}

/* Whether a list that opens now is the value of the streamed key of the root. */
static bool is_streamed(const struct builder *b, enum dag_node_kind kind)
{
    const struct level *top = &b->levels[b->depth - 1];
    if (!b->options->stream_key || b->streaming_done || kind != DAG_NODE_LIST || b->depth != ROOT_LEVEL + 1 ||
        top->node->kind != DAG_NODE_MAPPING || !top->value_next)
        return false;
    const struct dag_node *key = dag_node_real(top->last);
    return strlen(b->options->stream_key) == key->len && memcmp(b->options->stream_key, key->text, key->len) == 0;
}

static bool on_open(struct builder *b, const yaml_event_t *event, enum dag_node_kind kind, const yaml_char_t *anchor,
                    const yaml_char_t *tag)
{
    uint32_t line = (uint32_t)event->start_mark.line + 1, column = (uint32_t)event->start_mark.column + 1;
    if (!check_key(b, event, false))
        return false;
    if (b->depth - ROOT_LEVEL >= LIMIT_YAML_DEPTH_MAX)
        return say(b, line, column, 1, "more than %d nested lists and mappings", LIMIT_YAML_DEPTH_MAX);
    const char *core = kind == DAG_NODE_LIST ? YAML_SEQ_TAG : YAML_MAP_TAG;
    if (tag && strcmp((const char *)tag, core) != 0 && strcmp((const char *)tag, "!") != 0 && !b->options->any_tag)
        (void)say(b, line, column, 1, "the tag '%.60s' does not fit here", tag_name((const char *)tag));
    bool streamed = !anchor && is_streamed(b, kind);
    struct dag_node *node = new_node(b, event, kind, 0);
    if (!node)
        return false;
    node->open = true;
    node->height = 1;
    attach(b, node);
    b->levels[b->depth++] = (struct level){.node = node, .streamed = streamed};
    if (!set_anchor(b, anchor, node))
        return false;
    if (streamed) {
        b->in_item = true;
        b->streaming_done = true;
        b->item_nodes = 0;
    }
    return true;
}

static bool same_key(const struct dag_node *a, const struct dag_node *b)
{
    a = dag_node_real(a);
    b = dag_node_real(b);
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

static void say_duplicate(struct builder *b, const struct dag_node *key, const struct dag_node *before)
{
    const struct dag_node *real = dag_node_real(key);
    char text[200], hint[100];
    int shown = (int)(real->len > 60 ? 60 : real->len);
    while (shown > 0 && shown < (int)real->len && (real->text[shown] & 0xc0) == 0x80)
        shown--;
    (void)snprintf(text, sizeof text, "Invalid YAML: duplicate key '%.*s'", shown, real->text);
    (void)snprintf(hint, sizeof hint, "it is on line %u already", before->line);
    struct dag_problem problem = {
        .line = key->line, .column = key->column, .length = key->length, .text = text, .hint = hint};
    dag_problems_add(b->problems, &problem);
}

static struct dag_node *new_alias(struct builder *b, const struct dag_node *target)
{
    struct dag_node *node = arena_alloc(current_arena(b), sizeof *node);
    const struct dag_node *real = dag_node_real(target);
    *node = (struct dag_node){.line = target->line, .column = target->column, .length = target->length,
                              .kind = DAG_NODE_ALIAS, .weight = real->weight, .height = real->height, .merged = true};
    node->target = real;
    b->held++;
    b->item_nodes++;
    return node;
}

/* Appends the pairs of `from` that the level's mapping does not have. They are no more than the alias that brought
 * them has been counted for. */
static bool merge_pairs(struct builder *b, struct level *level, struct map *known, const struct dag_node *from)
{
    struct dag_node *into = level->node;
    for (const struct dag_node *k = dag_node_first(from); k; k = k->next->next) {
        const struct dag_node *real = dag_node_real(k);
        if (map_get(known, real->text, real->len))
            continue;
        if (into->len >= LIMIT_YAML_KEYS_MAX)
            return say(b, into->line, into->column, 1, "merges (<<) bring in more than %d keys", LIMIT_YAML_KEYS_MAX);
        if (b->held >= LIMIT_YAML_NODES_MAX)
            return say(b, into->line, into->column, 1, "more than %d values", LIMIT_YAML_NODES_MAX);
        struct dag_node *key = new_alias(b, k), *value = new_alias(b, k->next);
        (void)map_set(known, real->text, real->len, key);
        key->next = value;
        if (level->last)
            level->last->next = key;
        else
            into->first = key;
        level->last = value;
        into->len++;
        into->weight = add_weights(into->weight, add_weights(key->weight, value->weight));
        if (value->height >= into->height)
            into->height = (uint16_t)(value->height + 1);
    }
    return true;
}

static bool merge_value(struct builder *b, struct level *level, struct map *known, const struct dag_node *value)
{
    const struct dag_node *real = dag_node_real(value);
    if (real->kind == DAG_NODE_MAPPING)
        return merge_pairs(b, level, known, real);
    if (real->kind != DAG_NODE_LIST) {
        (void)say(b, value->line, value->column, value->length,
                  "a merge (<<) needs a mapping or a list of mappings, found %s",
                  dag_node_kind_name((enum dag_node_kind)real->kind));
        return true;
    }
    for (const struct dag_node *item = real->first; item; item = item->next) {
        if (dag_node_real(item)->kind != DAG_NODE_MAPPING) {
            (void)say(b, item->line, item->column, item->length,
                      "a merge (<<) needs a list of mappings, found %s in it",
                      dag_node_kind_name((enum dag_node_kind)dag_node_real(item)->kind));
            continue;
        }
        if (!merge_pairs(b, level, known, item))
            return false;
    }
    return true;
}

/* Takes the first `<<` pair out of the mapping and returns its value, or NULL. */
static const struct dag_node *take_merge(struct level *level)
{
    struct dag_node *before = NULL;
    for (struct dag_node *k = (struct dag_node *)(uintptr_t)level->node->first; k;) {
        struct dag_node *value = (struct dag_node *)(uintptr_t)k->next;
        if (is_merge_key(dag_node_real(k)) && !k->merged) {
            if (before)
                before->next = value->next;
            else
                level->node->first = value->next;
            if (level->last == value)
                level->last = before;
            level->node->len--;
            return value;
        }
        before = value;
        k = (struct dag_node *)(uintptr_t)value->next;
    }
    return NULL;
}

static const struct dag_node *find_before(const struct dag_node *mapping, const struct dag_node *key)
{
    for (const struct dag_node *k = mapping->first; k && k != key; k = k->next->next)
        if (same_key(k, key))
            return k;
    return NULL;
}

/* Duplicate keys are told, and the mapping keeps both; then the merges. */
static bool finish_mapping(struct builder *b, struct level *level)
{
    bool has_merge = false, ok = true;
    for (const struct dag_node *k = level->node->first; k; k = k->next->next)
        has_merge = has_merge || is_merge_key(dag_node_real(k));
    bool hashed = has_merge || level->node->len > SMALL_MAPPING;
    struct map known = {0};
    for (const struct dag_node *k = level->node->first; k; k = k->next->next) {
        const struct dag_node *real = dag_node_real(k);
        const struct dag_node *before =
            hashed ? map_get(&known, real->text, real->len) : find_before(level->node, k);
        if (before)
            say_duplicate(b, k, before);
        else if (hashed)
            (void)map_set(&known, real->text, real->len, (void *)(uintptr_t)k);
    }
    const struct dag_node *merge;
    while (ok && has_merge && (merge = take_merge(level)) != NULL)
        ok = merge_value(b, level, &known, merge);
    map_fini(&known);
    return ok;
}

static bool on_close(struct builder *b)
{
    struct level *level = &b->levels[b->depth - 1];
    struct dag_node *node = level->node;
    if (node->kind == DAG_NODE_MAPPING && !finish_mapping(b, level))
        return false;
    node->open = false;
    if (level->streamed) {
        b->in_item = false;
        node->first = NULL;
    }
    b->depth--;
    return finish_node(b, node);
}

static bool on_document(struct builder *b, const yaml_event_t *event)
{
    uint32_t line = (uint32_t)event->start_mark.line + 1, column = (uint32_t)event->start_mark.column + 1;
    if (++b->documents > 1 && !b->options->many)
        return say(b, line, column, underline(event), "a second document starts here; a DAG file holds one");
    map_fini(&b->anchors);
    return true;
}

static bool on_event(struct builder *b, const yaml_event_t *event)
{
    b->fed_at_event = b->fed;
    b->last_line = (uint32_t)event->end_mark.line + 1;
    b->last_column = (uint32_t)event->end_mark.column + 1;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT: return on_document(b, event);
    case YAML_SCALAR_EVENT: return on_scalar(b, event);
    case YAML_ALIAS_EVENT: return on_alias(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, event, DAG_NODE_LIST, event->data.sequence_start.anchor, event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, event, DAG_NODE_MAPPING, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return on_close(b);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT: break;
    }
    return true;
}

static int feed(void *context, unsigned char *buffer, size_t size, size_t *ret_size)
{
    struct builder *b = context;
    if (b->fed - b->fed_at_event > LIMIT_YAML_SCALAR_BYTES_MAX + FEED_SLACK)
        b->starved = "a value, or a comment, of more than 4 MiB starts here";
    else if (b->parser.tag_directives.top - b->parser.tag_directives.start > LIMIT_YAML_DIRECTIVES_MAX)
        b->starved = "too many %TAG directives"; /* libyaml compares each with all */
    if (b->starved)
        return 0;
    size_t len = b->len - b->fed < size ? b->len - b->fed : size;
    if (len)
        memcpy(buffer, b->bytes + b->fed, len);
    b->fed += len;
    *ret_size = len;
    return 1;
}

static void parse(struct builder *b)
{
    yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input(&b->parser, feed, b);
    for (bool done = false; !done && !b->failed;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            if (b->starved)
                (void)say(b, b->last_line, b->last_column, 1, "%s", b->starved);
            else
                dag_yaml_error_add(&b->parser, b->bytes, b->len, b->problems);
            b->failed = true;
            break;
        }
        done = event.type == YAML_STREAM_END_EVENT;
        b->failed = !on_event(b, &event);
        yaml_event_delete(&event);
        if (!b->failed && b->problems->error_count - b->errors_before >= LIMIT_DAG_ERRORS_READ_MAX)
            b->failed = !say(b, b->last_line, b->last_column, 1, "more than %d errors: the rest is not looked at",
                             LIMIT_DAG_ERRORS_READ_MAX);
    }
}

const struct dag_node *dag_yaml_read(const char *bytes, size_t len, const struct dag_yaml_options *options,
                                     struct dag_problems *problems, struct arena *arena)
{
    if (!dag_yaml_check(bytes, len, problems))
        return NULL;
    bool bom = len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0;
    struct builder *b = mem_new(struct builder);
    *b = (struct builder){.options = options, .problems = problems, .arena = arena, .last_line = 1, .last_column = 1};
    b->errors_before = problems->error_count;
    b->bytes = bytes + (bom ? 3 : 0);
    b->len = len - (bom ? 3 : 0);
    struct dag_node *documents = arena_zalloc(arena, sizeof *documents);
    documents->kind = DAG_NODE_LIST;
    b->levels[0].node = documents;
    b->depth = ROOT_LEVEL;
    const struct dag_node *root = NULL;
    if (!yaml_parser_initialize(&b->parser)) {
        problems->out_of_memory = true;
        (void)say(b, 0, 0, 1, "there is not enough memory to read it");
        goto out;
    }
    parse(b);
    yaml_parser_delete(&b->parser);
    if (b->failed)
        goto out;
    static const struct dag_node nothing = {.kind = DAG_NODE_NULL, .text = "", .line = 1, .column = 1, .length = 1};
    root = options->many ? documents : documents->first ? documents->first : &nothing;
out:
    arena_fini(&b->item_arena);
    arena_fini(&b->names);
    map_fini(&b->anchors);
    mem_free(b);
    return root;
}
