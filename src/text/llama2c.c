/* llama2.c's tokenizer.bin: the longest piece's length, then for each piece its score, length
 * and bytes. Ids 0, 1 and 2 are unknown, begin and end, the next 256 are the bytes. */
#include <math.h>
#include <stdlib.h>

#include "text/spm.h"

enum { FIRST_BYTE = 3, LONGEST = 4096 };

struct walk {
    const char *at, *end;
};

/* the next piece; false at the end or where something is wrong, with *whole telling which */
static bool next_piece(struct walk *k, float *score, struct mega_span *text, bool *whole)
{
    int32_t size;
    *whole = k->at == k->end;
    if (k->end - k->at < 8) return false;
    memcpy(score, k->at, 4);
    memcpy(&size, k->at + 4, 4);
    if (size < 0 || size > LONGEST || size > k->end - k->at - 8 || !isfinite(*score))
        return false;
    *text = (struct mega_span){ k->at + 8, (size_t)size };
    k->at += 8 + size;
    return true;
}

static bool is(const char *path, const char *bytes, size_t n)
{
    (void)path;
    int32_t longest;
    if (n < 12) return false;
    memcpy(&longest, bytes, 4);
    struct walk k = { bytes + 4, bytes + n };
    struct mega_span text;
    float score;
    bool whole;
    /* a few pieces tell */
    for (int i = 0; i < 8; i++)
        if (!next_piece(&k, &score, &text, &whole) || text.size > (size_t)longest) return false;
    return longest > 0 && longest <= LONGEST;
}

static mega_status read_pieces(mega_tokenizer *t, struct mega_spm *m, const char *path)
{
    static const char *const names[] = { "<unk>", "<s>", "</s>" };
    const struct mega_text *file = &t->source[0].bytes;
    struct walk k = { file->data + (file->size < 4 ? file->size : 4), file->data + file->size };
    struct mega_span text;
    float score;
    bool whole;
    while (next_piece(&k, &score, &text, &whole)) {
        int32_t id = m->pieces;
        enum mega_spm_piece kind = id == 0                 ? MEGA_SPM_UNKNOWN
                                   : id < FIRST_BYTE       ? MEGA_SPM_CONTROL
                                   : id < FIRST_BYTE + 256 ? MEGA_SPM_BYTE
                                                           : MEGA_SPM_NORMAL;
        /* the files write some with the line ends of a listing: "\n<s>\n" */
        if (id < FIRST_BYTE) text = (struct mega_span){ names[id], strlen(names[id]) };
        MEGA_TRY(mega_spm_add(t, m, text, score, kind));
        if (kind == MEGA_SPM_BYTE) {
            char byte = (char)(id - FIRST_BYTE);
            m->byte[id - FIRST_BYTE] = id;
            MEGA_TRY(mega_vocab_surface(&t->vocab, id, &byte, 1));
        }
    }
    if (!whole)
        return mega_fail(
            MEGA_BAD_FILE, "%s: cut off or damaged behind %d pieces", path, (int)m->pieces);
    if (m->pieces < FIRST_BYTE + 256)
        return mega_fail(MEGA_BAD_FILE,
            "%s: %d pieces, expected at least 259: three special ones and the bytes", path,
            (int)m->pieces);
    return MEGA_OK;
}

static mega_status add_specials(mega_tokenizer *t)
{
    for (int32_t id = 1; id < FIRST_BYTE; id++)
        MEGA_TRY(mega_specials_add(
            &t->specials, &(struct mega_added){
                              .text = t->vocab.piece[id].text, .id = id, .special = true }));
    return MEGA_OK;
}

static mega_status read(mega_tokenizer *t, const char *path)
{
    struct mega_spm *m = calloc(1, sizeof *m);
    if (!m) return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
    t->model = m;
    *m = (struct mega_spm){ .type = MEGA_SPM_BPE,
        .byte_fallback = true,
        .any_bytes = true,
        .dummy_prefix = true,
        .blank = { " ", 1 } };
    MEGA_TRY(read_pieces(t, m, path));
    MEGA_TRY(add_specials(t));
    t->special[MEGA_UNK] = 0;
    t->special[MEGA_BOS] = 1;
    t->special[MEGA_EOS] = 2;
    t->joining = (struct mega_joining){ .strip = 1 };
    return mega_spm_bpe_prepare(t, m);
}

const struct mega_tokenizer_kind mega_tokenizer_kind_llama2c = {
    .name = "llama2.c BPE",
    .files = "tokenizer.bin|tok512.bin",
    .about = "a tokenizer of llama2.c",
    .is = is,
    .read = read,
    .encode = mega_spm_encode,
    .done = mega_spm_free,
    .forget = mega_spm_forget,
};
