/*
 * Signed loading: run with a file of release 5 and its public key.
 * The number of the first failing line is the message.
 */
#include "expect.h"

#include <stdio.h>
#include <string.h>

/* A union aligns it as the library asks on every C99 compiler that has 16-byte long doubles. */
static union {
    unsigned char bytes[1 << 20];
    long double align;
} block;

static size_t read_file(const char *path, unsigned char *to, size_t capacity) {
    FILE *file = fopen(path, "rb");
    size_t length = file ? fread(to, 1, capacity, file) : 0;
    if (file) fclose(file);
    return length;
}

int main(int count, char **arguments) {
    unsigned char key[33], *file = block.bytes;
    uint32_t release = 0;
    stf_model model;
    size_t length;
    if (count != 3) return 2;
    memset(&model, 0, sizeof model);
    length = read_file(arguments[1], file, sizeof block.bytes);
    if (length == 0 || read_file(arguments[2], key, sizeof key) != 32) return 2;
    EXPECT(stf_model_load_signed(&model, file, length, key, 5), STF_STATUS_OK);
    EXPECT(stf_model_release(&model, &release), STF_STATUS_OK);
    if (release != 5) return 3;
    EXPECT(stf_model_load_signed(&model, file, length, key, 6), STF_STATUS_OLD_RELEASE);
    EXPECT(stf_model_release(&model, &release), STF_STATUS_NOT_INITIALISED);
    EXPECT(stf_model_load_signed(&model, file, length, NULL, 0), STF_STATUS_NULL_POINTER);
    key[0] ^= 1;
    if (stf_model_load_signed(&model, file, length, key, 5) == STF_STATUS_OK) return 4;
    memset(key, 0, sizeof key);
    EXPECT(stf_model_load_signed(&model, file, length, key, 5), STF_STATUS_BAD_PUBLIC_KEY);
    EXPECT(stf_model_load(&model, file, length), STF_STATUS_OK);
    return 0;
}
