/* Rules for the texts of a DAG file: ids, names of variables, references to them. Pure. */
#ifndef PAWL_DAG_DAG_TEXT_H
#define PAWL_DAG_DAG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a text is no id, as the end of a sentence ("is empty"), or NULL when it is one. `buf` may be used for it. */
const char *dag_text_id_fault(const char *text, size_t len, size_t bytes_max, char buf[100]);

/* The first character that must not be in a name people read (controls, line separators, marks that change the
 * direction of writing), or 0 when there is none. A NUL gives 0x110000. */
uint32_t dag_text_bad_character(const char *text, size_t len);

/* [A-Za-z_][A-Za-z0-9_]* */
bool dag_text_is_variable(const char *text, size_t len);
/* A header's name: the token of RFC 9110, section 5.6.2. */
bool dag_text_is_header(const char *text, size_t len);

/* The length to show of a text in a message: at most `max` bytes, no part of a character. */
int dag_text_cut(const char *text, size_t len, size_t max);

/* ${env.NAME}, or $${env.NAME}, which stands for the characters ${env.NAME}. */
struct dag_text_reference {
    size_t start;           /* of the first $ */
    size_t end;             /* behind the } */
    const char *name;
    size_t name_len;
    bool escaped;
    bool valid;             /* the name is one */
};

/* The next reference at or after *at, which moves behind it. False when there is none. */
bool dag_text_next_reference(const char *text, size_t len, size_t *at, struct dag_text_reference *ret_reference);

#endif
