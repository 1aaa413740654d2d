/* The web UI's files, compiled in from ui/dist (built by ui/build.mjs). */
#ifndef PAWL_WEB_WEB_H
#define PAWL_WEB_WEB_H

#include <stddef.h>

enum web_file { WEB_PAGE, WEB_SCRIPT, WEB_STYLE, WEB_FILE_COUNT };

struct web_bytes {
    const unsigned char *bytes; /* live as long as the process */
    size_t len;
};

struct web_bytes web_get(enum web_file file);

#endif
