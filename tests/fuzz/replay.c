/* main() for a fuzz target outside libFuzzer: runs every file named, or in a folder named, once.
 * Folders that do not exist are passed over; it fails when nothing at all was run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(n ? n : 1);
    if (data && fread(data, 1, n, f) == n)
        LLVMFuzzerTestOneInput(data, n);
    free(data);
    fclose(f);
    return 1;
}

static unsigned replay_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return replay_file(path);
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    unsigned count = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        char child[4096];
        snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
        count += replay_path(child);
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++)
        count += replay_path(argv[i]);
    printf("replayed %u inputs\n", count);
    return count ? 0 : 1;
}
