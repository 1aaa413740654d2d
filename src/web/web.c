#include "web/web.h"

#include <assert.h>
#include <stdbool.h>

extern const unsigned char web_embed_index_html[], web_embed_app_js[], web_embed_app_css[];
extern const size_t web_embed_index_html_len, web_embed_app_js_len, web_embed_app_css_len;

struct web_bytes web_get(enum web_file file)
{
    switch (file) {
    case WEB_PAGE:
        return (struct web_bytes){web_embed_index_html, web_embed_index_html_len};
    case WEB_SCRIPT:
        return (struct web_bytes){web_embed_app_js, web_embed_app_js_len};
    case WEB_STYLE:
        return (struct web_bytes){web_embed_app_css, web_embed_app_css_len};
    case WEB_FILE_COUNT:
        break;
    }
    assert(false);
    return (struct web_bytes){0};
}
