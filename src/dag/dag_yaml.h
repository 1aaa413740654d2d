/* A YAML file as a tree with places, in the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/, chapter 10.3).
 *
 * The tree is made from libyaml's events. Aliases share what they point to, merges (`<<`) share the pairs they bring
 * in, and both are counted as if they were copies, so that no small file stands for a large tree. Every bound is in
 * base/limits.h; reaching one is an error with its place.
 *
 * One list of the root mapping can be streamed: each of its items is handed over and forgotten, so that a file of a
 * million tasks never is in memory as a tree. */
#ifndef PAWL_DAG_DAG_YAML_H
#define PAWL_DAG_DAG_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "dag/dag_problem.h"

enum dag_node_kind {
    DAG_NODE_NULL,
    DAG_NODE_BOOL,
    DAG_NODE_INT,
    DAG_NODE_FLOAT,
    DAG_NODE_STRING,
    DAG_NODE_LIST,
    DAG_NODE_MAPPING,
    DAG_NODE_ALIAS, /* seen by the builder only: see dag_node_real */
};

/* A mapping's children are key, value, key, value, ...; keys are scalars. Reach children through the functions
 * below, which look through aliases. */
struct dag_node {
    const struct dag_node *next;        /* the next child of the same parent */
    union {
        const char *text;               /* scalars: the text, terminated; may hold NUL when written as "\0" */
        const struct dag_node *first;   /* lists and mappings: the first child */
        const struct dag_node *target;  /* aliases */
    };
    uint32_t len;                       /* scalars: bytes; lists: items; mappings: pairs */
    uint32_t weight;                    /* nodes of the tree below and this one, aliases expanded; saturates */
    uint32_t line;                      /* from 1 */
    uint32_t column;                    /* in characters, from 1 */
    uint16_t length;                    /* characters to underline */
    uint16_t height;                    /* levels of collections below and this one, aliases expanded */
    uint8_t kind;                       /* enum dag_node_kind */
    bool plain : 1;                     /* a scalar without quotes */
    bool merged : 1;                    /* a key or value that a merge brought in */
    bool open : 1;                      /* being read: an alias to it would be endless */
};

/* What an alias stands for; any other node itself. */
const struct dag_node *dag_node_real(const struct dag_node *node);
/* Children: for (child = dag_node_first(list); child; child = dag_node_next(child)). A child
 * that is an alias is returned as such, with its own place; dag_node_real says what it holds. */
const struct dag_node *dag_node_first(const struct dag_node *parent);
const struct dag_node *dag_node_next(const struct dag_node *child);
/* The value of a key of a mapping, or NULL. Linear in the keys. */
const struct dag_node *dag_node_get(const struct dag_node *mapping, const char *key);

/* "null", "a string", "a list", ...: for messages. */
const char *dag_node_kind_name(enum dag_node_kind kind);

struct dag_yaml_options {
    bool any_tag;                       /* unknown tags are ignored instead of refused */
    bool many;                          /* several documents are allowed; the root is a list of them */
    const char *stream_key;             /* the key of the root mapping whose list is streamed; NULL: none */
    /* Called for each item of that list, in order; the item is gone afterwards. False ends the reading; the callee
     * has said why. */
    bool (*stream_item)(void *context, const struct dag_node *item, size_t index);
    void *context;
};

/* Reads a file. Returns the root, in `arena`, or NULL when the file is not YAML, reached a limit or was ended by
 * stream_item. Errors are added to `problems`; a root may come with errors too (duplicate keys). An empty file has a
 * DAG_NODE_NULL root. The streamed list stays in the tree with its length and without its items. */
const struct dag_node *dag_yaml_read(const char *bytes, size_t len, const struct dag_yaml_options *options,
                                     struct dag_problems *problems, struct arena *arena);

/* The kind that the core schema gives to a plain scalar without a tag. */
enum dag_node_kind dag_yaml_plain_kind(const char *text, size_t len);

/* Appends the tree as JSON. Numbers keep their digits; keys become strings. Returns the first node that JSON has no
 * form for (.inf, .nan), or NULL when all went well. */
const struct dag_node *dag_yaml_to_json(const struct dag_node *node, struct buf *out);

#endif
