/* SentencePiece models as a kind of tokenizer. */
#include <stdlib.h>

#include "text/spm.h"
#include "text/unicode.h"

void mega_spm_free(void *model)
{
    struct mega_spm *m = model;
    free(m->score);
    free(m->kind);
    free((uint32_t *)(uintptr_t)m->unit);
    mega_trie_done(&m->user);
    mega_trie_done(&m->trie);
    mega_merges_done(&m->merges);
    mega_vocab_done(&m->extra);
    mega_seams_done(&m->seams);
    free(m);
}

void mega_spm_forget(void *own)
{
    struct mega_spm_own *o = own;
    mega_text_done(&o->normal);
    mega_merging_done(&o->merging);
    mega_word_cache_done(&o->cache);
    mega_ids_done(&o->ids);
    free(o->node);
    free(o);
}

/* ---- encoding ---- */

void mega_spm_emit(
    const struct mega_spm *m, struct mega_workspace *w, int32_t id, const char *text, size_t n)
{
    struct mega_spm_own *own = w->own;
    bool unknown = id == m->unk;
    if (unknown && m->byte_fallback)
        for (size_t i = 0; i < n; i++) mega_emit(w, m->byte[(unsigned char)text[i]]);
    else if (!unknown || !own->was_unknown)
        mega_emit(w, id);
    own->was_unknown = unknown;
}

/* the piece that a stretch is, or the unknown one */
static void emit_whole(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n)
{
    const struct mega_spm *m = t->model;
    int32_t id = mega_vocab_find(&t->vocab, text, n);
    mega_spm_emit(m, w, id < 0 ? m->unk : id, text, n);
}

/* words begin with the mark of a blank; characters are themselves, but for user-defined pieces
 */
static mega_status encode_simply(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n)
{
    const struct mega_spm *m = t->model;
    const char *end = text + n, *from = text;
    size_t size;
    for (const char *p = text; p < end; p += size) {
        uint32_t code;
        if (mega_trie_longest(&m->user, p, end, &size) < 0)
            size = (size_t)mega_char_read(p, end, &code);
        if (!size) return mega_fail_utf8(w, w->text);
        bool begins = m->type == MEGA_SPM_CHAR || !memcmp(p, m->blank.data, 1);
        if (m->type == MEGA_SPM_WORD && begins)
            begins =
                (size_t)(end - p) >= m->blank.size && !memcmp(p, m->blank.data, m->blank.size);
        if (!begins || p == from) continue;
        emit_whole(t, w, from, (size_t)(p - from));
        from = p;
    }
    if (from < end) emit_whole(t, w, from, (size_t)(end - from));
    return w->status;
}

mega_status mega_spm_encode(
    const mega_tokenizer *t, struct mega_workspace *w, const char *text, size_t n, bool first)
{
    if (!w->own) w->own = calloc(1, sizeof(struct mega_spm_own));
    struct mega_spm_own *own = w->own;
    const struct mega_spm *m = t->model;
    if (!own) return mega_fail(MEGA_NO_MEMORY, "no memory to encode");
    MEGA_TRY(mega_spm_normalize(m, w, text, n, first, &own->normal));
    own->was_unknown = false;
    const char *normal = own->normal.data;
    if (m->type == MEGA_SPM_UNIGRAM) return mega_unigram_encode(t, w, normal, own->normal.size);
    if (m->type == MEGA_SPM_BPE) return mega_spm_bpe_encode(t, w, normal, own->normal.size);
    return encode_simply(t, w, normal, own->normal.size);
}

/* a piece comes first in the file, and its text first in the piece */
static bool is(const char *path, const char *bytes, size_t n)
{
    (void)path;
    return n > 4 && bytes[0] == 0x0A && bytes[2] == 0x0A;
}

const struct mega_tokenizer_kind mega_tokenizer_kind_spm = {
    .name = "SentencePiece",
    .files = "tokenizer.model|spiece.model|sentencepiece.bpe.model",
    .about = "a SentencePiece model",
    .is = is,
    .read = mega_spm_read,
    .encode = mega_spm_encode,
    .done = mega_spm_free,
    .forget = mega_spm_forget,
};
