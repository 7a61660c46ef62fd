#include "task/tokens.h"

#include <string.h>

#include "base/rng.h"
#include "text/tokenizer.h"

static mega_status take(void *arg, const int32_t *id, size_t n)
{
    return mega_token_list_add(arg, id, (int64_t)n);
}

/* where a text is cut a document goes on */
static mega_status encode(
    void *arg, const char *text, size_t n, bool begins, struct mega_token_list *out)
{
    struct mega_encode_options how = { .inside = !begins };
    return mega_tokenizer_encode_each(arg, text, n, &how, take, out);
}

/* bytes may be cut anywhere */
static size_t cut_bytes(void *arg, const char *text, size_t n)
{
    (void)arg;
    (void)text;
    return n;
}

static uint64_t identity_of(const mega_tokenizer *t)
{
    uint64_t hash = mega_hash_text(mega_tokenizer_kind(t));
    for (int i = 0; i < t->sources; i++)
        hash =
            mega_hash_join(hash, mega_hash(t->source[i].bytes.data, t->source[i].bytes.size));
    return hash;
}

struct mega_text_encoder mega_text_encoder_of(mega_tokenizer *t)
{
    bool bytes = !strcmp(mega_tokenizer_kind(t), "bytes");
    return (struct mega_text_encoder){ .arg = t,
        .encode = encode,
        .cut = bytes ? cut_bytes : NULL,
        .identity = identity_of(t),
        .vocabulary = mega_tokenizer_size(t),
        .bos = mega_tokenizer_special(t, MEGA_BOS),
        .eos = mega_tokenizer_special(t, MEGA_EOS),
        .pad = mega_tokenizer_special(t, MEGA_PAD) };
}
