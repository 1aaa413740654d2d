/*
 * Replays kept fuzz inputs without libFuzzer, so that `make check` runs them with any compiler:
 *     fuzz_yaml fuzz/corpus/yaml
 * Every argument is a file or a folder of files. No input at all is an error: a replay of nothing
 * would pass for ever.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "replay: cannot open %s: %s\n", path, strerror(errno));
        return -1;
    }
    int rc = -1;
    uint8_t *bytes = NULL;
    struct stat st;
    if (fstat(fileno(file), &st) != 0)
        goto out;
    /* Exactly as long as the input, so that ASan sees a read past its end. */
    size_t len = (size_t)st.st_size;
    bytes = malloc(len ? len : 1);
    if (!bytes || fread(bytes, 1, len, file) != len)
        goto out;
    (void)LLVMFuzzerTestOneInput(bytes, len);
    rc = 0;
out:
    if (rc != 0)
        fprintf(stderr, "replay: cannot read %s\n", path);
    free(bytes);
    (void)fclose(file);
    return rc;
}

static int replay_folder(const char *path, DIR *folder, size_t *count)
{
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char file[4096];
        int len = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (len < 0 || (size_t)len >= sizeof file || replay_file(file) != 0)
            return -1;
        ++*count;
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        int rc = folder ? replay_folder(argv[i], folder, &count) : replay_file(argv[i]);
        if (folder)
            (void)closedir(folder);
        else
            count++;
        if (rc != 0)
            return EXIT_FAILURE;
    }
    if (count == 0) {
        fprintf(stderr, "replay: no inputs\n");
        return EXIT_FAILURE;
    }
    printf("replayed %zu inputs\n", count);
    return EXIT_SUCCESS;
}
