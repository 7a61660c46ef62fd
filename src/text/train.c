#include "text/train.h"

#include "text/unicode.h"

#define X(name) extern const struct mega_tokenizer_trainer mega_tokenizer_trainer_##name;
#include "text/trainers.def"
#undef X

#define X(name) &mega_tokenizer_trainer_##name,
const struct mega_tokenizer_trainer *const mega_tokenizer_trainers[] = {
#include "text/trainers.def"
    NULL,
};
#undef X

mega_status mega_count_words(struct mega_counts *c, const char *name, const char *text,
    size_t n, bool (*separates)(uint32_t code))
{
    const char *end = text + n, *from = text;
    uint32_t code;
    int length;
    for (const char *p = text; p < end; p += length) {
        length = mega_char_read(p, end, &code);
        if (!length)
            return mega_fail(MEGA_BAD_FILE, "%s: byte %zu, 0x%02x, is not valid UTF-8", name,
                (size_t)(p - text) + 1, (unsigned char)*p);
        if (!separates(code)) continue;
        if (p > from) MEGA_TRY(mega_counts_add(c, from, (size_t)(p - from), 1));
        from = p + length;
    }
    return from < end ? mega_counts_add(c, from, (size_t)(end - from), 1) : MEGA_OK;
}

static const struct mega_tokenizer_trainer *find_trainer(const char *name)
{
    for (const struct mega_tokenizer_trainer *const *t = mega_tokenizer_trainers; *t; t++)
        if (!strcmp((*t)->name, name)) return *t;
    struct mega_text known = { 0 };
    for (const struct mega_tokenizer_trainer *const *t = mega_tokenizer_trainers; *t; t++)
        mega_text_add(&known, "%s%s", known.size ? ", " : "", (*t)->name);
    mega_fail(MEGA_BAD_ARGUMENT, "no tokenizer is trained as '%s', expected one of %s", name,
        known.data ? known.data : "");
    mega_text_done(&known);
    return NULL;
}

static mega_status count_file(
    const struct mega_tokenizer_trainer *t, struct mega_counts *c, const char *path)
{
    struct mega_text text = { 0 };
    mega_status status = mega_file_read_gz(path, &text);
    if (!status) status = t->count(c, path, text.data, text.size);
    mega_text_done(&text);
    return status;
}

mega_status mega_tokenizer_train(mega_tokenizer **out,
    const struct mega_tokenizer_training *how, const char *const *files, int n)
{
    const struct mega_tokenizer_trainer *t = find_trainer(how->kind);
    if (!t) return MEGA_BAD_ARGUMENT;
    struct mega_counts counts;
    mega_status status = mega_counts_init(&counts);
    for (int i = 0; i < n && !status; i++) status = count_file(t, &counts, files[i]);
    if (!status && !counts.texts.n)
        status = mega_fail(MEGA_BAD_ARGUMENT, "there is nothing to train on in %d files%s%s", n,
            n ? ", the first of which is " : "", n ? files[0] : "");
    if (!status) status = t->make(out, &counts, how);
    mega_counts_done(&counts);
    return status;
}
