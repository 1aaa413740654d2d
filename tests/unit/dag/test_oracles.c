/* Files that others made, with what they mean: they lie beside the project and are no part of it. */
#include "support/check.h"

#include <glob.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/limits.h"
#include "dag/dag_yaml.h"
#include "reading.h"

#define ORACLES "../shared/oracles/"

/* A tab that separates a '-' from its value, which libyaml takes for indentation. */
static const char tab_after_dash[] = "6BCT.yaml";
/* A tab that YAML 1.2 forbids as indentation of a flow collection and libyaml allows. */
static const char tab_in_flow[] = "DK95-01.yaml";

struct document {
    struct buf bytes;
    struct arena arena;
    struct dag_problems problems;
    const struct dag_node *root;
};

static void read_document(const char *path, bool many, struct document *document)
{
    const struct dag_yaml_options options = {.any_tag = true, .many = many};
    *document = (struct document){0};
    reading_file(path, &document->bytes);
    document->root = dag_yaml_read(document->bytes.bytes, document->bytes.len, &options, &document->problems,
                                   &document->arena);
}

static void end_document(struct document *document)
{
    buf_fini(&document->bytes);
    arena_fini(&document->arena);
    dag_problems_fini(&document->problems);
}

static bool is_file(const char *path, const char *name)
{
    size_t len = strlen(path), name_len = strlen(name);
    return len >= name_len && strcmp(path + len - name_len, name) == 0;
}

/* The paths, or none: then the test is skipped and says so. */
static size_t find(const char *pattern, glob_t *found)
{
    if (glob(pattern, 0, NULL, found) != 0) {
        print_message("%s is not there\n", pattern);
        return 0;
    }
    return found->gl_pathc;
}

/* YAML 1.1 has more booleans than 1.2; the recorded values are of 1.1. */
static bool is_old_boolean(const json_t *ours, const json_t *theirs)
{
    static const char *const words[] = {"yes", "no", "on", "off"};
    if (!json_is_string(ours) || !json_is_boolean(theirs))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(json_string_value(ours), words[i]) == 0)
            return json_is_true(theirs) == (i % 2 == 0);
    return false;
}

static bool same(const json_t *ours, const json_t *theirs)
{
    if (json_is_number(ours) && json_is_number(theirs))
        return fabs(json_number_value(ours) - json_number_value(theirs)) < 1e-9;
    if (json_typeof(ours) != json_typeof(theirs))
        return is_old_boolean(ours, theirs);
    if (json_is_array(ours)) {
        for (size_t i = 0; i < json_array_size(ours) && i < json_array_size(theirs); i++)
            if (!same(json_array_get(ours, i), json_array_get(theirs, i)))
                return false;
        return json_array_size(ours) == json_array_size(theirs);
    }
    if (json_is_object(ours)) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)ours, key, value) {
            const json_t *other = json_object_get(theirs, key);
            if (!other || !same(value, other))
                return false;
        }
        return json_object_size(ours) == json_object_size(theirs);
    }
    return json_equal(ours, theirs);
}

/* Texts of JSON, one after the other. */
static json_t *read_concatenated(const char *path)
{
    struct buf bytes = BUF_INIT;
    reading_file(path, &bytes);
    json_t *list = json_array();
    const char *at = buf_text(&bytes), *end = at + bytes.len;
    while (at + strspn(at, " \t\r\n") < end) {
        json_error_t why;
        json_t *value = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &why);
        if (!value)
            fail_msg("%s: %s", path, why.text);
        (void)json_array_append_new(list, value);
        at += why.position;
    }
    buf_fini(&bytes);
    return list;
}

static void assert_means(const char *path, const json_t *expected)
{
    struct document document;
    read_document(path, true, &document);
    if (!document.root || document.problems.error_count)
        fail_msg("%s: %s", path, document.problems.count ? document.problems.items[0].text : "nothing");
    struct buf text = BUF_INIT;
    assert_null(dag_yaml_to_json(document.root, &text));
    json_t *found = json_loadb(text.bytes, text.len, 0, NULL);
    if (!found || !same(found, expected))
        fail_msg("%s is read as %s", path, buf_text(&text));
    json_decref(found);
    buf_fini(&text);
    end_document(&document);
}

static char *beside(const char *path, const char *suffix, char other[500])
{
    (void)snprintf(other, 500, "%.*s%s", (int)(strlen(path) - strlen(".yaml")), path, suffix);
    return other;
}

static void test_odd(void **state)
{
    (void)state;
    glob_t found;
    size_t count = find(ORACLES "yaml-odd-suite/*.yaml", &found), passed = 0;
    if (!count)
        skip();
    for (size_t i = 0; i < count; i++) {
        char other[500];
        if (is_file(found.gl_pathv[i], tab_after_dash))
            continue;
        json_t *expected = read_concatenated(beside(found.gl_pathv[i], ".json", other));
        assert_means(found.gl_pathv[i], expected);
        json_decref(expected);
        passed++;
    }
    print_message("%zu files\n", passed);
    globfree(&found);
}

static void test_odd_real(void **state)
{
    (void)state;
    glob_t found;
    size_t count = find(ORACLES "yaml-odd-real/*.yaml", &found);
    if (!count)
        skip();
    for (size_t i = 0; i < count; i++) {
        char other[500];
        json_t *expected = json_load_file(beside(found.gl_pathv[i], ".expected.json", other), 0, NULL);
        assert_non_null(expected);
        assert_means(found.gl_pathv[i], expected);
        json_decref(expected);
    }
    print_message("%zu files\n", count);
    globfree(&found);
}

/* Each is refused with a place that is in the file. */
static void test_malformed(void **state)
{
    (void)state;
    glob_t found;
    size_t count = find(ORACLES "yaml-malformed/*.yaml", &found), refused = 0;
    if (!count)
        skip();
    for (size_t i = 0; i < count; i++) {
        if (is_file(found.gl_pathv[i], tab_in_flow))
            continue;
        struct document document;
        read_document(found.gl_pathv[i], true, &document);
        if (document.root || document.problems.error_count == 0)
            fail_msg("%s is accepted", found.gl_pathv[i]);
        const struct dag_problem *problem = &document.problems.items[0];
        assert_memory_equal(problem->text, "Invalid YAML: ", strlen("Invalid YAML: "));
        size_t lines = 1;
        for (size_t at = 0; at < document.bytes.len; at++)
            lines += document.bytes.bytes[at] == '\n';
        assert_in_range(problem->line, 1, lines);
        end_document(&document);
        refused++;
    }
    print_message("%zu files\n", refused);
    globfree(&found);
}

/* The first error of the kind that the verdict names. */
static bool fits(const char *verdict, const struct reading *reading, const json_t *detail)
{
    char text[600];
    const char *first = reading->problems.count ? reading->problems.items[0].text : "";
    const char *task = json_string_value(json_object_get(detail, "task"));
    if (strcmp(verdict, "valid") == 0)
        return reading->code == 0 && reading->problems.count == 0;
    if (strcmp(verdict, "valid-or-warning") == 0)
        return reading->code == 0 && reading->problems.error_count == 0 && reading->problems.warning_count == 1;
    if (reading->code != ERROR_VALIDATION_ERROR || reading->problems.error_count != 1)
        return false;
    if (strcmp(verdict, "unknown-dependency") == 0)
        (void)snprintf(text, sizeof text, "Task '%s' depends on '%s' which does not exist", task,
                       json_string_value(json_object_get(detail, "missing")));
    else if (strcmp(verdict, "duplicate-id") == 0)
        (void)snprintf(text, sizeof text, "Duplicate task ID: %s", task);
    else if (task)
        (void)snprintf(text, sizeof text, "Cycle detected: %s -> %s", task, task);
    else
        return strncmp(first, "Cycle detected: ", strlen("Cycle detected: ")) == 0;
    return strcmp(first, text) == 0;
}

static void test_dags(void **state)
{
    (void)state;
    json_t *index = json_load_file(ORACLES "dagcheck/index.json", 0, NULL);
    if (!index) {
        print_message(ORACLES "dagcheck is not there\n");
        skip();
    }
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(index, "files"), i, entry) {
        char path[500];
        (void)snprintf(path, sizeof path, ORACLES "dagcheck/%s", json_string_value(json_object_get(entry, "file")));
        const char *verdict = json_string_value(json_object_get(entry, "verdict"));
        struct buf source = BUF_INIT;
        reading_file(path, &source);
        struct reading reading = reading_of_bytes(source.bytes, source.len);
        if (!fits(verdict, &reading, json_object_get(entry, "detail"))) {
            struct buf text = BUF_INIT;
            reading_list(&reading.problems, &text);
            fail_msg("%s should be %s: %s", path, verdict, buf_text(&text));
        }
        if (reading.dag)
            assert_int_equal(reading.dag->task_count, json_integer_value(json_object_get(entry, "tasks")));
        reading_end(&reading);
        buf_fini(&source);
    }
    assert_true(i > 0);
    print_message("%zu files\n", i);
    json_decref(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd),
        cmocka_unit_test(test_odd_real),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_dags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
