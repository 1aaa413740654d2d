/* libyaml's sentences are kept where they help; the common mistakes get one that names the remedy. */
#include "dag/dag_yaml_error.h"

#include <stdio.h>
#include <string.h>

/* The byte at a place counted as libyaml counts, or -1 at the end of the file. */
static int byte_at(const char *bytes, size_t len, yaml_mark_t mark)
{
    size_t i = 0;
    for (size_t line = 0; line < mark.line && i < len; i++)
        if (bytes[i] == '\n' || (bytes[i] == '\r' && (i + 1 == len || bytes[i + 1] != '\n')))
            line++;
    for (size_t column = 0; column < mark.column && i < len; column++)
        do
            i++;
        while (i < len && (bytes[i] & 0xc0) == 0x80);
    return i < len ? (unsigned char)bytes[i] : -1;
}

/* The remedy for libyaml's problem, if it is a common one. Writes the sentence and the hint. */
static bool explain(const char *what, int c, char *text, size_t size, const char **ret_hint)
{
    const char *sentence = NULL;
    *ret_hint = NULL;
    if (strcmp(what, "found character that cannot start any token") == 0) {
        if (c == '\t') {
            sentence = "a tab is used for indentation";
            *ret_hint = "indent with spaces";
        } else {
            (void)snprintf(text, size, "Invalid YAML: a value cannot start with '%c'", c >= 0x20 && c < 0x7f ? c : '?');
            *ret_hint = "put the value in quotes";
            return true;
        }
    } else if (strcmp(what, "mapping values are not allowed in this context") == 0) {
        sentence = "a ':' is not expected here";
        *ret_hint = "check the indentation; a value that holds ': ' needs quotes";
    } else if (strcmp(what, "could not find expected ':'") == 0) {
        sentence = "a ':' is missing after the key";
    } else if (strcmp(what, "did not find expected key") == 0) {
        sentence = "expected a key here";
        *ret_hint = "check the indentation and the quotes of the lines before";
    } else if (strcmp(what, "did not find expected '-' indicator") == 0) {
        sentence = "expected '- ' here, like the items before";
        *ret_hint = "check the indentation";
    } else if (strcmp(what, "found unexpected end of stream") == 0) {
        sentence = "the file ends inside a quoted value";
        *ret_hint = "a closing quote is missing";
    } else if (strcmp(what, "block sequence entries are not allowed in this context") == 0) {
        sentence = "a list item ('- ') is not allowed here";
        *ret_hint = "start it on a line of its own";
    }
    if (sentence)
        (void)snprintf(text, size, "Invalid YAML: %s", sentence);
    return sentence != NULL;
}

void dag_yaml_error_add(const yaml_parser_t *parser, const char *bytes, size_t len, struct dag_problems *problems)
{
    char text[300], where[150];
    const char *what = parser->problem ? parser->problem : "cannot be read", *hint = NULL;
    if (parser->error == YAML_MEMORY_ERROR) {
        problems->out_of_memory = true;
        what = "there is not enough memory to read it";
    }
    bool placed = parser->error == YAML_SCANNER_ERROR || parser->error == YAML_PARSER_ERROR;
    int c = placed ? byte_at(bytes, len, parser->problem_mark) : -1;
    if (!explain(what, c, text, sizeof text, &hint))
        (void)snprintf(text, sizeof text, "Invalid YAML: %s%s%s", what, parser->context ? " " : "",
                       parser->context ? parser->context : "");
    if (placed && parser->context && !hint && parser->context_mark.line != parser->problem_mark.line) {
        (void)snprintf(where, sizeof where, "it began at line %zu, column %zu", parser->context_mark.line + 1,
                       parser->context_mark.column + 1);
        hint = where;
    }
    struct dag_problem problem = {.text = text, .hint = hint, .length = 1};
    if (placed) {
        problem.line = (uint32_t)parser->problem_mark.line + 1;
        problem.column = (uint32_t)parser->problem_mark.column + 1;
    }
    dag_problems_add(problems, &problem);
}
