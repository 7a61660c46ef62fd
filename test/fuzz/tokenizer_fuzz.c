#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static mega_status take(void *arg, const int32_t *id, size_t n)
{
    return mega_ids_add(arg, id, n) ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory");
}

/* a text of many kinds, and the ids that come of it back; then every id */
static void use(const mega_tokenizer *t)
{
    static const char text[] =
        "The cat's 3 hats, <s> ab  aab\n\t\xC3\xA9\xE2\x96\x81 x\xF0\x9F\x99\x82"
        "\xE4\xB8\xAD\xE6\x96\x87 \xC2\xA0 </s><|endoftext|>\xFF\x00 e\xCC\x81";
    struct mega_encode_options how = { .specials = true, .frame = true };
    struct mega_ids ids = { 0 };
    char *back;
    size_t n;
    for (size_t cut = 0; cut < 2; cut++) {
        /* with and without what is no UTF-8 */
        size_t length = sizeof text - 1 - (cut ? 6 : 0);
        ids.n = 0;
        if (mega_tokenizer_encode_each(t, text, length, &how, take, &ids)) continue;
        if (!mega_tokenizer_decode(t, ids.id, ids.n, NULL, &back, &n)) free(back);
    }
    int32_t most = mega_tokenizer_size(t) < 2000 ? mega_tokenizer_size(t) : 2000;
    for (int32_t id = 0; id < most; id++)
        if (!mega_tokenizer_decode(t, &id, 1, NULL, &back, &n)) free(back);
    mega_ids_done(&ids);
}

/* the first byte says which kind; a NUL parts two files of a kind that has two */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int kinds = 0;
    while (mega_tokenizer_kinds[kinds]) kinds++;
    if (!size) return 0;
    const struct mega_tokenizer_kind *kind = mega_tokenizer_kinds[data[0] % kinds];
    const char *name = !strcmp(kind->name, "BPE codes")    ? "dict.txt"
                       : !strcmp(kind->files, "vocab.txt") ? "tokenizer_config.json"
                       : !strcmp(kind->files, "vocab.json|encoder.json") ? "merges.txt"
                                                                         : NULL;
    const uint8_t *first = data + 1, *end = data + size;
    const uint8_t *parted = name ? memchr(first, 0, (size_t)(end - first)) : NULL;
    struct mega_text file = { 0 }, other = { 0 };
    mega_tokenizer *t;
    mega_text_add_bytes(&file, first, (size_t)((parted ? parted : end) - first));
    if (parted) mega_text_add_bytes(&other, parted + 1, (size_t)(end - parted - 1));
    if (!mega_tokenizer_read_pair(&t, kind, "f", &file, parted ? name : NULL, &other)) {
        use(t);
        mega_tokenizer_close(t);
    }
    mega_text_done(&file);
    mega_text_done(&other);
    return 0;
}
