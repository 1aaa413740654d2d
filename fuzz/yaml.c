/* YAML into a tree: whatever the bytes are, a tree or an error with its place; and a tree is JSON. */
#include "fuzz.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "dag/dag_yaml.h"

static bool on_item(void *context, const struct dag_node *item, size_t index)
{
    size_t *count = context;
    assert(index == (*count)++);
    assert(item->line > 0 && item->column > 0);
    return *count < 1000;
}

static void check_problems(const struct dag_problems *problems, bool expected)
{
    assert(!expected || problems->error_count > 0);
    for (size_t i = 0; i < problems->count; i++) {
        const struct dag_problem *problem = &problems->items[i];
        assert(problem->text[0] && problem->length > 0);
        assert((problem->line == 0) == (problem->column == 0));
    }
}

/* Numbers that JSON's reader finds too large for a double, and zero bytes in keys, are its limits, not ours. */
static void check_json(const struct dag_node *root)
{
    struct buf text = BUF_INIT;
    json_error_t why;
    if (!dag_yaml_to_json(root, &text) && text.len < 65536) {
        json_t *value = json_loadb(text.bytes, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL,
                                   &why);
        assert(value || json_error_code(&why) == json_error_numeric_overflow ||
               json_error_code(&why) == json_error_null_byte_in_key);
        json_decref(value);
    }
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    size_t items = 0;
    const struct dag_yaml_options ways[] = {
        {0},
        {.any_tag = true, .many = true},
        {.stream_key = "tasks", .stream_item = on_item, .context = &items},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct dag_problems problems = {0};
        struct arena arena = {0};
        const struct dag_node *root = dag_yaml_read((const char *)input, len, &ways[i], &problems, &arena);
        check_problems(&problems, !root && items < 1000);
        if (root)
            check_json(root);
        arena_fini(&arena);
        dag_problems_fini(&problems);
    }
    return 0;
}
