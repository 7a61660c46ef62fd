/* Dictionaries, as fairseq's preprocessing makes them: words by frequency, those of equal
 * frequency by their bytes, filled up to a multiple by "madeupword0000" and what follows it. */
#include <stdlib.h>

#include "text/dictionary.h"
#include "text/train.h"

extern const struct mega_tokenizer_kind mega_tokenizer_kind_words;

static bool is_special(const struct mega_span *word)
{
    static const char *const specials[] = { "<s>", "<pad>", "</s>", "<unk>" };
    for (int i = 0; i < 4; i++)
        if (word->size == strlen(specials[i]) && !memcmp(word->data, specials[i], word->size))
            return true;
    return false;
}

mega_status mega_dictionary_print(const struct mega_counts *c, int32_t size, int64_t least,
    int32_t multiple, struct mega_text *out)
{
    enum { SPECIALS = 4 };
    int32_t *order = mega_counts_sorted(c), ids = SPECIALS;
    mega_text_add(out, "%s", "");
    for (int32_t i = 0; order && i < c->texts.n && (size <= 0 || ids < size); i++) {
        const struct mega_span *word = &c->texts.piece[order[i]].text;
        if (c->count[order[i]] < least) break;
        if (is_special(word)) continue;
        mega_text_add_bytes(out, word->data, word->size);
        mega_text_add(out, " %lld\n", (long long)c->count[order[i]]);
        ids++;
    }
    for (int32_t i = 0; multiple > 1 && ids % multiple; i++, ids++)
        mega_text_add(out, "madeupword%04d 0\n", (int)i);
    bool fine = order && !out->failed;
    free(order);
    return fine ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for a dictionary");
}

static mega_status count(struct mega_counts *c, const char *name, const char *text, size_t n)
{
    return mega_count_words(c, name, text, n, mega_word_separates);
}

static mega_status make(mega_tokenizer **out, const struct mega_counts *c,
    const struct mega_tokenizer_training *how)
{
    struct mega_text file = { 0 };
    mega_status status = mega_dictionary_print(c, how->size, how->least, how->multiple, &file);
    if (!status)
        status = mega_tokenizer_read(
            out, &mega_tokenizer_kind_words, "dict.txt", file.data, file.size);
    mega_text_done(&file);
    return status;
}

const struct mega_tokenizer_trainer mega_tokenizer_trainer_words = {
    .name = "words",
    .about = "a dictionary of words",
    .count = count,
    .make = make,
};
