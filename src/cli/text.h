/* Text on a terminal: foreign text made harmless, and measured in cells. */
#ifndef PAWL_CLI_TEXT_H
#define PAWL_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Before any of the functions below: measuring needs the C library's table of characters. */
void cli_text_init(void);

/* Appends text of one line. Control characters, marks that change the direction of writing, line separators and bytes
 * that are no UTF-8 become visible: \n, \x1b, \u202e. */
void cli_text_add(struct buf *out, const char *text, size_t len);
/* The same, at most `cells` wide; what is cut ends in "…". Returns the cells used. */
size_t cli_text_add_cut(struct buf *out, const char *text, size_t len, size_t cells);
/* Cells that cli_text_add takes. */
size_t cli_text_width(const char *text, size_t len);

/* Appends a piece of a log for a terminal: lines and tabs stay, colour sequences (SGR) too when `color`; other
 * control characters become visible. `held` keeps an incomplete sequence or character for the next piece; the last
 * piece is given with end. */
void cli_text_add_log(struct buf *out, const char *bytes, size_t len, bool color, struct buf *held, bool end);

#endif
