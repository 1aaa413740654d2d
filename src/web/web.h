/* The web UI's files, compiled in from ui/dist (built by ui/build.mjs), each as it is and compressed. */
#ifndef PAWL_WEB_WEB_H
#define PAWL_WEB_WEB_H

#include <stdbool.h>
#include <stddef.h>

/* All pointers live as long as the process. */
struct web_file {
    const char *name;               /* without a folder */
    const char *content_type;
    const char *tag;                /* of its bytes */
    bool is_hashed;                 /* the name changes with the bytes: it may be kept for ever */
    const unsigned char *bytes;
    size_t len;
    const unsigned char *packed;    /* gzip; NULL: that would be larger */
    size_t packed_len;
};

/* In order of name; made by tools/embed-web. */
extern const struct web_file web_files[];
extern const size_t web_file_count;

/* NULL: there is no file of this name. */
const struct web_file *web_find(const char *name);

#endif
