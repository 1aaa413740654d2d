/* What dead letters have in common: the error without what differs from one to the next. */
#ifndef PAWL_API_API_BULK_H
#define PAWL_API_API_BULK_H

#include "base/buf.h"

/* Appends `text` with paths as PATH, ids (UUIDs and other hexadecimal words of 8 and more with a digit) as ID and
 * numbers as N. Pure. */
void api_bulk_normalise(const char *text, struct buf *out);

#endif
