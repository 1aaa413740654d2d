#include "server/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

void server_secrets_clear(struct server_secrets *secrets)
{
    if (secrets->value)
        explicit_bzero(secrets->value, strlen(secrets->value));
    mem_free(secrets->value);
    secrets->value = NULL;
}

static char *read_file(const char *name, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* nobody may write to a pipe of that name */
    if (fd < 0) {
        log_error("secret %s: its file cannot be opened: %s", name, strerror(errno));
        return NULL;
    }
    char *text = mem_zalloc(LIMIT_SECRET_BYTES_MAX + 3);
    ssize_t len = read(fd, text, LIMIT_SECRET_BYTES_MAX + 2);
    const char *problem = len < 0 ? strerror(errno)
                        : fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ? "it is no file"
                        : memchr(text, '\0', (size_t)len) ? "a secret may not hold a NUL byte" : NULL;
    (void)close(fd);
    if (problem) {
        log_error("secret %s: its file cannot be read: %s", name, problem);
        explicit_bzero(text, LIMIT_SECRET_BYTES_MAX + 3);
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
