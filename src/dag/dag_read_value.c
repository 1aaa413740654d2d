/* One value by the kind of its field. Each reader checks what it found, says what it expected, and stores. */
#include "dag/dag_reader.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "cron/cron.h"
#include "dag/dag_text.h"

/* One value being read. */
struct reading {
    struct dag_reader *r;
    const struct dag_field *field;
    const struct dag_node *at;      /* the value where it is used */
    const struct dag_node *real;    /* what it holds */
    void *into;
    const struct dag_path *path;
};

#define FAIL(v, hint, ...) (dag_report((v)->r, (v)->at, (v)->path, (hint), __VA_ARGS__), false)

static bool is_scalar(const struct dag_node *node)
{
    return dag_node_real(node)->kind < DAG_NODE_LIST;
}

static bool fail_kind(const struct reading *v, const char *expected)
{
    char found[100], hint[150];
    bool quotable = is_scalar(v->at) && v->real->len && strcmp(expected, "a string") == 0;
    (void)snprintf(hint, sizeof hint, "put it in quotes: \"%.*s\"", dag_text_cut(v->real->len ? v->real->text : "",
                   quotable ? v->real->len : 0, 60), quotable ? v->real->text : "");
    return FAIL(v, quotable ? hint : NULL, "'%s' must be %s, found %s", v->field->key, expected,
                dag_describe(v->at, found));
}

/* What the system gets to see as a terminated string must not hold a NUL, and has its limit. */
static bool check_text(const struct reading *v, const struct dag_node *at, const struct dag_path *path)
{
    const char *text = dag_node_real(at)->text;
    size_t len = dag_node_real(at)->len;
    size_t max = v->field->max > 0 ? (size_t)v->field->max : LIMIT_YAML_SCALAR_BYTES_MAX;
    const char *fault = NULL;
    char buf[100];
    if (len && memchr(text, '\0', len)) {
        fault = "holds a NUL character";
    } else if (len > max) {
        (void)snprintf(buf, sizeof buf, "is %zu bytes long, at most %zu are allowed", len, max);
        fault = buf;
    }
    if (fault)
        dag_report(v->r, at, path, NULL, "A value of '%s' %s", v->field->key, fault);
    return !fault;
}

/* A string that is there: the common part of TEXT, ID, URL and others. */
static bool read_string(const struct reading *v)
{
    if (v->real->kind != DAG_NODE_STRING)
        return fail_kind(v, "a string");
    if (v->real->len == 0 && v->field->min > 0)
        return FAIL(v, NULL, "'%s' must not be empty", v->field->key);
    return check_text(v, v->at, v->path);
}

static const char *keep(const struct reading *v, const char *text, size_t len)
{
    return dag_pool_add(&v->r->pool, text, len);
}

static bool read_text(const struct reading *v)
{
    if (!read_string(v))
        return false;
    const char *text = keep(v, v->real->text, v->real->len);
    if (strcmp(v->field->key, "name") == 0) {
        uint32_t bad = dag_text_bad_character(text, v->real->len);
        if (bad)
            return FAIL(v, NULL, "'name' holds the character U+%04X, which is not allowed", bad);
    }
    *(const char **)v->into = text;
    if (v->field->refs != DAG_REFS_FREE)
        dag_read_refs(v->r, v->field, v->at, text, v->real->len, v->path);
    return true;
}

static bool read_id(const struct reading *v)
{
    if (v->real->kind != DAG_NODE_STRING)
        return fail_kind(v, "a string");
    char buf[100];
    const char *fault = dag_text_id_fault(v->real->text, v->real->len, (size_t)v->field->max, buf);
    if (fault)
        return FAIL(v, NULL, "'%s' %s", v->field->key, fault);
    *(const char **)v->into = keep(v, v->real->text, v->real->len);
    return true;
}

/* Who may be named is no question of the file's form. */
static bool read_user(const struct reading *v)
{
    const struct dag_read_options *options = v->r->options;
    char why[LIMIT_ERROR_TEXT_BYTES_MAX];
    if (!read_string(v))
        return false;
    *(const char **)v->into = keep(v, v->real->text, v->real->len);
    if (strlen(v->real->text) != v->real->len || dag_text_bad_character(v->real->text, v->real->len)
        || strpbrk(v->real->text, "/: "))
        return FAIL(v, NULL, "'%s' is not the name of a user", v->field->key);
    if (options->may_run_as && !options->may_run_as(options->context, v->real->text, why, sizeof why))
        dag_report_graph(v->r, DAG_SEVERITY_ERROR, (struct dag_place){v->at->line, v->at->column}, v->at->length,
                         v->field->key, NULL, "%s", why);
    return true;
}

static void join_names(const struct dag_field *field, char *buf, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < field->names_count && len < size; i++)
        len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "", field->names[i]);
}

static bool read_enum(const struct reading *v)
{
    if (!is_scalar(v->at))
        return fail_kind(v, "a string");
    for (size_t i = 0; i < v->field->names_count; i++) {
        if (strcmp(v->real->text, v->field->names[i]) == 0 &&
            strlen(v->real->text) == v->real->len) {
            *(int *)v->into = (int)i;
            return true;
        }
    }
    char names[200], hint[100];
    join_names(v->field, names, sizeof names);
    char *lower = arena_strndup(&v->r->scratch, v->real->text, v->real->len);
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    const char *nearest = str_nearest(lower, v->field->names, v->field->names_count);
    (void)snprintf(hint, sizeof hint, "did you mean '%s'?", nearest ? nearest : "");
    int cut = dag_text_cut(v->real->text, v->real->len, 100);
    bool is_type = strcmp(v->field->key, "type") == 0;
    return FAIL(v, nearest ? hint : NULL, "Invalid %s%s: %.*s (expected: %s)", is_type ? "task " : "", v->field->key,
                cut, v->real->text, names);
}

static bool is_zero_duration(const char *text)
{
    size_t zeros = strspn(text, "0");
    const char *unit = text + zeros;
    return zeros && (strcmp(unit, "ms") == 0 || strcmp(unit, "s") == 0 || strcmp(unit, "m") == 0 ||
                     strcmp(unit, "h") == 0 || strcmp(unit, "d") == 0);
}

static bool read_duration(const struct reading *v)
{
    if (!is_scalar(v->at))
        return fail_kind(v, "a duration such as 30s or 5m");
    int64_t ms = 0;
    bool delay = v->field->kind == DAG_FIELD_DELAY;
    bool ok = strlen(v->real->text) == v->real->len &&
              (str_parse_duration(v->real->text, &ms) ||
               (delay ? is_zero_duration(v->real->text) : strcmp(v->real->text, "none") == 0));
    if (!ok) {
        char hint[100];
        int cut = dag_text_cut(v->real->text, v->real->len, 100);
        bool bare = v->real->kind == DAG_NODE_INT && v->real->len < 10 && v->real->text[0] != '-';
        (void)snprintf(hint, sizeof hint, "did you mean '%.*ss'?", bare ? cut : 0, v->real->text);
        return FAIL(v, bare ? hint : delay ? "units are ms, s, m, h and d" : "units are ms, s, m, h and d; or none",
                    "Invalid duration format: %.*s (expected: 30s, 5m, 1h)", cut, v->real->text);
    }
    *(int64_t *)v->into = ms;
    return true;
}

static bool read_count(const struct reading *v)
{
    int64_t value;
    char expected[100];
    (void)snprintf(expected, sizeof expected, "a whole number from %.0f to %.0f", v->field->min, v->field->max);
    if (v->real->kind != DAG_NODE_INT ||
        !str_parse_int(v->real->text, (int64_t)v->field->min, (int64_t)v->field->max, &value))
        return fail_kind(v, expected);
    *(uint32_t *)v->into = (uint32_t)value;
    return true;
}

static bool read_bool(const struct reading *v)
{
    if (v->real->kind != DAG_NODE_BOOL)
        return fail_kind(v, "true or false");
    *(bool *)v->into = (v->real->text[0] | 0x20) == 't';
    return true;
}

/* A plain number of the core schema, without the C locale's say in the decimal point. */
static bool parse_number(const char *text, double *ret_value)
{
    double value = 0, scale = 1;
    const char *s = text + (*text == '+');
    for (; *s >= '0' && *s <= '9'; s++)
        value = value * 10 + (*s - '0');
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9'; s++)
            value += (*s - '0') * (scale /= 10);
    *ret_value = value;
    return s != text && *s == '\0' && value < 1e9;
}

static bool read_number(const struct reading *v)
{
    double value;
    char expected[100];
    (void)snprintf(expected, sizeof expected, "a number from %g to %g", v->field->min, v->field->max);
    if ((v->real->kind != DAG_NODE_INT && v->real->kind != DAG_NODE_FLOAT) ||
        !parse_number(v->real->text, &value) || value < v->field->min || value > v->field->max)
        return fail_kind(v, expected);
    *(double *)v->into = value;
    return true;
}

/* A single value as written: words of a command line, values of variables and headers. */
static const char *read_word(const struct reading *v, const struct dag_node *at, const struct dag_path *path)
{
    const struct dag_node *real = dag_node_real(at);
    if (!is_scalar(at)) {
        char found[100];
        dag_report(v->r, at, path, NULL, "A value of '%s' must be a single value, found %s", v->field->key,
                   dag_describe(at, found));
        return NULL;
    }
    if (!check_text(v, at, path))
        return NULL;
    const char *text = keep(v, real->text, real->len);
    dag_read_refs(v->r, v->field, at, text, real->len, path);
    return text;
}

static bool read_words(const struct reading *v)
{
    if (v->real->kind != DAG_NODE_LIST)
        return fail_kind(v, "a list");
    const char **items = arena_array(&v->r->owned->arena, v->real->len, sizeof *items);
    uint32_t count = 0;
    size_t bytes = 0;
    bool ok = true;
    struct dag_path path = {.up = v->path};
    for (const struct dag_node *item = v->real->first; item; item = item->next, path.index++) {
        items[count] = read_word(v, item, &path);
        if (items[count])
            bytes += dag_node_real(item)->len + 1;
        ok = ok && items[count];
        count += items[count] != NULL;
    }
    if (bytes > LIMIT_COMMAND_BYTES_MAX)
        return FAIL(v, NULL, "'%s' is %zu bytes long, at most %d are allowed", v->field->key, bytes,
                    LIMIT_COMMAND_BYTES_MAX);
    *(struct dag_words *)v->into = (struct dag_words){.items = items, .count = count};
    return ok;
}

static bool read_command(const struct reading *v)
{
    struct dag_task *task = v->into;
    if (v->real->kind == DAG_NODE_LIST) {
        struct reading words = *v;
        words.into = &task->argv;
        if (v->real->len == 0)
            return FAIL(v, NULL, "'command' must not be an empty list");
        if (!read_words(&words))
            return false;
        return *task->argv.items[0] || FAIL(v, NULL, "The first item of 'command' must name a program");
    }
    if (v->real->kind == DAG_NODE_MAPPING)
        return fail_kind(v, "a string or a list");
    if (!read_string(v))
        return false;
    task->command = keep(v, v->real->text, v->real->len);
    struct dag_field shell = *v->field;
    shell.refs = DAG_REFS_SHELL;
    dag_read_refs(v->r, &shell, v->at, task->command, v->real->len, v->path);
    return true;
}

static bool read_script(const struct reading *v)
{
    struct dag_task *task = v->into;
    if (!read_string(v))
        return false;
    task->script = keep(v, v->real->text, v->real->len);
    task->script_is_code = memchr(v->real->text, '\n', v->real->len) != NULL;
    dag_read_refs(v->r, v->field, v->at, task->script, v->real->len, v->path);
    return true;
}

static bool check_variable(const struct reading *v, const struct dag_node *at, const struct dag_path *path)
{
    const struct dag_node *real = dag_node_real(at);
    int cut = dag_text_cut(real->text, real->len, 60);
    if (!dag_text_is_variable(real->text, real->len) || real->len > 255) {
        dag_report(v->r, at, path, "letters, digits and _, not starting with a digit",
                   "'%.*s' is no name of an environment variable", cut, real->text);
        return false;
    }
    if (strncmp(real->text, "PAWL_", 5) == 0) {
        dag_report(v->r, at, path, NULL, "'%.*s' is reserved: names that start with PAWL_ are set by pawl", cut,
                   real->text);
        return false;
    }
    return true;
}

static bool check_header(const struct reading *v, const struct dag_node *name, const struct dag_node *value,
                         const struct dag_path *path)
{
    const struct dag_node *key = dag_node_real(name), *real = dag_node_real(value);
    if (!dag_text_is_header(key->text, key->len)) {
        dag_report(v->r, name, path, NULL, "'%.*s' is no name of an HTTP header",
                   dag_text_cut(key->text, key->len, 60), key->text);
        return false;
    }
    if (is_scalar(value) && strpbrk(real->text, "\r\n")) {
        dag_report(v->r, value, path, NULL, "The header '%s' holds a line break", key->text);
        return false;
    }
    return true;
}

static bool read_vars(const struct reading *v)
{
    bool headers = v->field->kind == DAG_FIELD_HEADERS;
    if (v->real->kind != DAG_NODE_MAPPING)
        return fail_kind(v, headers ? "a mapping of names to values" : "a mapping of names to single values");
    if (v->real->len > LIMIT_ENV_VARS_MAX)
        return FAIL(v, NULL, "'%s' has %u entries, at most %d are allowed", v->field->key, v->real->len,
                    LIMIT_ENV_VARS_MAX);
    struct dag_var *items = arena_array(&v->r->owned->arena, v->real->len, sizeof *items);
    uint32_t count = 0;
    bool ok = true;
    const struct dag_node *value;
    for (const struct dag_node *key = v->real->first; key; key = value->next) {
        value = key->next;
        const struct dag_node *name = dag_node_real(key);
        struct dag_path path = {.up = v->path, .key = name->text};
        bool fits = headers ? check_header(v, key, value, &path) : check_variable(v, key, &path);
        const char *text = fits ? read_word(v, value, &path) : NULL;
        ok = ok && text;
        if (text)
            items[count++] = (struct dag_var){.name = keep(v, name->text, name->len), .value = text};
    }
    *(struct dag_vars *)v->into = (struct dag_vars){.items = items, .count = count};
    return ok;
}

static bool read_names(const struct reading *v)
{
    if (v->real->kind != DAG_NODE_LIST)
        return fail_kind(v, "a list of names");
    if (v->real->len > LIMIT_ENV_VARS_MAX)
        return FAIL(v, NULL, "'%s' has %u entries, at most %d are allowed", v->field->key, v->real->len,
                    LIMIT_ENV_VARS_MAX);
    const char **items = arena_array(&v->r->owned->arena, v->real->len, sizeof *items);
    uint32_t count = 0;
    struct map known = {0};
    struct dag_path path = {.up = v->path};
    for (const struct dag_node *item = v->real->first; item; item = item->next, path.index++) {
        const struct dag_node *real = dag_node_real(item);
        char found[100];
        if (real->kind != DAG_NODE_STRING) {
            dag_report(v->r, item, &path, NULL, "An item of '%s' must be a string, found %s", v->field->key,
                       dag_describe(item, found));
        } else if (check_variable(v, item, &path)) {
            if (map_set(&known, real->text, real->len, (void *)(uintptr_t)real))
                dag_report(v->r, item, &path, NULL, "'%s' is listed twice", real->text);
            else
                items[count++] = keep(v, real->text, real->len);
        }
    }
    map_fini(&known);
    *(struct dag_words *)v->into = (struct dag_words){.items = items, .count = count};
    return count == v->real->len;
}

static bool read_method(const struct reading *v)
{
    if (!read_string(v))
        return false;
    char method[33] = "";
    for (size_t i = 0; i < v->real->len && v->real->len < sizeof method; i++)
        method[i] = (char)toupper((unsigned char)v->real->text[i]);
    if (!method[0] || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != v->real->len ||
        strcmp(method, "CONNECT") == 0 || strcmp(method, "TRACE") == 0)
        return FAIL(v, NULL, "Invalid method: %.*s (expected: GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS)",
                    dag_text_cut(v->real->text, v->real->len, 60), v->real->text);
    *(const char **)v->into = keep(v, method, v->real->len);
    return true;
}

static bool read_url(const struct reading *v)
{
    if (!read_string(v))
        return false;
    const char *text = v->real->text;
    bool scheme = strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0;
    int cut = dag_text_cut(text, v->real->len, 100);
    if (!scheme && strncmp(text, "${env.", 6) != 0)
        return FAIL(v, NULL, "Invalid URL: %.*s (expected: http:// or https:// in front)", cut, text);
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return FAIL(v, "a blank is written as %20", "Invalid URL: %.*s (it holds a blank or a control character)",
                        cut, text);
    if (scheme && strchr("/?#", *(strchr(text, ':') + 3)))
        return FAIL(v, NULL, "Invalid URL: %.*s (there is no host)", cut, text);
    const char *kept = keep(v, text, v->real->len);
    *(const char **)v->into = kept;
    dag_read_refs(v->r, v->field, v->at, kept, v->real->len, v->path);
    return true;
}

static bool read_body(const struct reading *v)
{
    struct dag_http *http = v->r->http;
    if (!http)
        return true; /* of a task whose type is not known */
    if (v->real->kind == DAG_NODE_STRING) {
        http->body = keep(v, v->real->text, v->real->len);
        http->body_len = v->real->len;
    } else {
        struct buf json = BUF_INIT;
        const struct dag_node *bad = dag_yaml_to_json(v->at, &json);
        char found[100];
        if (bad)
            dag_report(v->r, bad, v->path, "put it in quotes", "JSON has no form for %s", dag_describe(bad, found));
        else if (json.len > LIMIT_YAML_SCALAR_BYTES_MAX)
            dag_report(v->r, v->at, v->path, NULL, "'body' is %zu bytes of JSON, at most %d are allowed", json.len,
                       LIMIT_YAML_SCALAR_BYTES_MAX);
        else
            http->body = keep(v, json.len ? json.bytes : "", json.len);
        http->body_len = http->body ? json.len : 0;
        http->body_is_json = true;
        buf_fini(&json);
    }
    if (http->body)
        dag_read_refs(v->r, v->field, v->at, http->body, http->body_len, v->path);
    return http->body != NULL;
}

static bool read_cron(const struct reading *v)
{
    if (!read_string(v))
        return false;
    struct cron cron;
    struct error err = {0};
    if (cron_parse(v->real->text, &cron, &err) != 0)
        return FAIL(v, NULL, "Invalid cron expression: %.*s (%s)", dag_text_cut(v->real->text, v->real->len, 100),
                    v->real->text, err.text);
    *(const char **)v->into = keep(v, v->real->text, v->real->len);
    return true;
}

static bool read_timezone(const struct reading *v)
{
    if (!read_string(v))
        return false;
    if (!cron_zone_exists(v->real->text))
        return FAIL(v, "a name of the system's tz database, such as Europe/Berlin or UTC", "Unknown time zone: %.*s",
                    dag_text_cut(v->real->text, v->real->len, 100), v->real->text);
    *(const char **)v->into = keep(v, v->real->text, v->real->len);
    return true;
}

static bool read_schedule(const struct reading *v)
{
    struct dag_schedule *schedule = v->into;
    if (v->real->kind == DAG_NODE_MAPPING) {
        (void)dag_read_table(v->r, v->field->table, v->at, -1, schedule, v->path);
        return schedule->cron != NULL;
    }
    if (v->real->kind != DAG_NODE_STRING)
        return fail_kind(v, "a cron expression or a mapping");
    struct reading cron = *v;
    cron.into = &schedule->cron;
    return read_cron(&cron);
}

static bool read_mapping(const struct reading *v)
{
    if (v->real->kind != DAG_NODE_MAPPING) {
        char hint[100];
        bool count = v->field->table == &dag_table_retry && v->real->kind == DAG_NODE_INT;
        (void)snprintf(hint, sizeof hint, "did you mean {maxAttempts: %.10s}?", count ? v->real->text : "");
        char found[100];
        return FAIL(v, count ? hint : NULL, "'%s' must be a mapping, found %s", v->field->key,
                    dag_describe(v->at, found));
    }
    bool defaults = v->field->table == &dag_table_defaults;
    void *into = defaults ? &v->r->defaults : v->into;
    uint32_t given = dag_read_table(v->r, v->field->table, v->at, -1, into, v->path);
    if (v->field->table == &dag_table_retry) {
        const struct dag_retry *retry = v->into;
        uint32_t both = dag_table_bit(&dag_table_retry, "initialDelay") | dag_table_bit(&dag_table_retry, "maxDelay");
        v->r->retry_given = given;
        if ((given & both) == both && retry->max_delay_ms > 0 && retry->max_delay_ms < retry->initial_delay_ms)
            return FAIL(v, NULL, "'maxDelay' must not be shorter than 'initialDelay'");
    } else if (v->field->table == &dag_table_keep) {
        struct dag_keep *keep = v->into;
        if (given & dag_table_bit(&dag_table_keep, "age") && keep->age_ms == 0)
            keep->age_ms = INT64_MAX;
    } else if (defaults) {
        v->r->defaults_given = given;
        v->r->defaults_retry_given = v->r->retry_given;
    }
    return true;
}

static bool read_dependencies(const struct reading *v)
{
    if (v->real->kind != DAG_NODE_LIST) {
        char hint[150], found[100];
        bool one = v->real->kind == DAG_NODE_STRING;
        (void)snprintf(hint, sizeof hint, "did you mean [%.*s]?", one ? dag_text_cut(v->real->text, v->real->len, 60)
                       : 0, one ? v->real->text : "");
        return FAIL(v, one ? hint : NULL, "'dependencies' must be a list of task ids, found %s",
                    dag_describe(v->at, found));
    }
    struct dag_reader *r = v->r;
    struct dag_path path = {.up = v->path};
    for (const struct dag_node *item = v->real->first; item; item = item->next, path.index++) {
        const struct dag_node *real = dag_node_real(item);
        char found[100], hint[100];
        if (real->kind != DAG_NODE_STRING || real->len == 0) {
            bool scalar = is_scalar(item) && real->len;
            (void)snprintf(hint, sizeof hint, "put it in quotes: \"%.60s\"", scalar ? real->text : "");
            dag_report(r, item, &path, scalar ? hint : NULL, "A dependency must be a task id, found %s",
                       dag_describe(item, found));
            continue;
        }
        if (r->edge_count >= LIMIT_DAG_EDGES_MAX) {
            dag_report(r, item, &path, NULL, "More than %d dependencies in one DAG", LIMIT_DAG_EDGES_MAX);
            r->too_many = true;
            return false;
        }
        r->edges = mem_grow(r->edges, &r->edge_cap, r->edge_count + 1, sizeof *r->edges);
        r->edges[r->edge_count++] = (struct dag_edge_note){
            .symbol = dag_ids_intern(&r->ids, real->text, real->len), .place = {item->line, item->column}};
    }
    return true;
}

static bool read_tasks(const struct reading *v)
{
    if (v->real->kind == DAG_NODE_NULL)
        return true; /* no tasks: the validator says so */
    if (v->real->kind != DAG_NODE_LIST)
        return fail_kind(v, "a list");
    return dag_read_tasks(v->r, v->at);
}

bool dag_read_value(struct dag_reader *r, const struct dag_field *field, const struct dag_node *value, void *target,
                    const struct dag_path *path)
{
    const struct reading v = {.r = r, .field = field, .at = value, .real = dag_node_real(value),
                              .into = (char *)target + field->offset, .path = path};
    switch (field->kind) {
    case DAG_FIELD_TEXT: return read_text(&v);
    case DAG_FIELD_ID: return read_id(&v);
    case DAG_FIELD_ENUM: return read_enum(&v);
    case DAG_FIELD_DURATION:
    case DAG_FIELD_DELAY: return read_duration(&v);
    case DAG_FIELD_COUNT: return read_count(&v);
    case DAG_FIELD_BOOL: return read_bool(&v);
    case DAG_FIELD_NUMBER: return read_number(&v);
    case DAG_FIELD_WORDS: return read_words(&v);
    case DAG_FIELD_COMMAND: return read_command(&v);
    case DAG_FIELD_SCRIPT: return read_script(&v);
    case DAG_FIELD_ENV:
    case DAG_FIELD_HEADERS: return read_vars(&v);
    case DAG_FIELD_NAMES: return read_names(&v);
    case DAG_FIELD_USER: return read_user(&v);
    case DAG_FIELD_METHOD: return read_method(&v);
    case DAG_FIELD_URL: return read_url(&v);
    case DAG_FIELD_BODY: return read_body(&v);
    case DAG_FIELD_DEPENDENCIES: return read_dependencies(&v);
    case DAG_FIELD_CRON: return read_cron(&v);
    case DAG_FIELD_TIMEZONE: return read_timezone(&v);
    case DAG_FIELD_SCHEDULE: return read_schedule(&v);
    case DAG_FIELD_MAPPING: return read_mapping(&v);
    case DAG_FIELD_TASKS: return read_tasks(&v);
    }
    return false;
}
