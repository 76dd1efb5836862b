/*
 * Replays a fuzz target over its corpus: the form in which `make check` runs it.
 *
 * Every file of corpus/NAME (NAME from the program's own name) is given to the target, also cut
 * short at a few places. An empty or missing corpus is a failure: it would prove nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/* A copy of exactly `size` bytes, so that valgrind and ASan see a read past the end. */
static void give(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy) {
        abort();
    }
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    uint8_t *data;
    size_t size;

    if (!f || fstat(fileno(f), &st) || !S_ISREG(st.st_mode)) {
        if (f) {
            fclose(f);
        }
        return 0;
    }
    data = malloc((size_t)st.st_size + 1);
    size = data ? fread(data, 1, (size_t)st.st_size, f) : 0;
    fclose(f);
    give(data, size);
    for (size_t part = 1; part < 8; part++) {
        give(data, size * part / 8);
    }
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    const char *src = getenv("srcdir"), *name = strrchr(argv[0], '/');
    char dir[1024], path[2048];
    struct dirent *entry;
    DIR *d;
    int n = 0;

    name = name ? name + 1 : argv[0];
    name = strncmp(name, "lt-", 3) ? name : name + 3;
    if (strncmp(name, "fuzz_", 5)) {
        fprintf(stderr, "%s: the name of a target is fuzz_NAME\n", argv[0]);
        return 2;
    }
    if (LLVMFuzzerInitialize) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", src ? src : ".", name + 5);
    d = opendir(argc > 1 ? argv[1] : dir);
    while (d && (entry = readdir(d))) {
        snprintf(path, sizeof(path), "%s/%s", argc > 1 ? argv[1] : dir, entry->d_name);
        n += replay_file(path);
    }
    if (d) {
        closedir(d);
    }
    printf("%s: %d inputs\n", name, n);
    return n > 0 ? 0 : 1;
}
