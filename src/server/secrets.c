#include "server/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

enum { SECRET_BYTES_MAX = 64 * 1024 };

void server_secrets_clear(struct server_secrets *secrets)
{
    if (secrets->value)
        explicit_bzero(secrets->value, strlen(secrets->value));
    mem_free(secrets->value);
    secrets->value = NULL;
}

static char *read_file(const char *name, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        log_error("secret %s: its file cannot be opened: %s", name, strerror(errno));
        return NULL;
    }
    char *text = mem_zalloc(SECRET_BYTES_MAX + 1);
    ssize_t len = read(fd, text, SECRET_BYTES_MAX);
    (void)close(fd);
    if (len < 0) {
        log_error("secret %s: its file cannot be read: %s", name, strerror(errno));
        mem_free(text);
        return NULL;
    }
    if (len && text[len - 1] == '\n')
        text[len - 1] = '\0';
    return text;
}

const char *server_secrets_find(void *context, const char *name)
{
    struct server_secrets *secrets = context;
    server_secrets_clear(secrets);
    for (uint32_t i = 0; i < secrets->count; i++) {
        const struct server_secret *item = &secrets->items[i];
        if (strcmp(item->name, name) == 0) {
            secrets->value = item->file ? read_file(name, item->file) : mem_strdup(getenv(item->variable));
            break;
        }
    }
    return secrets->value;
}
