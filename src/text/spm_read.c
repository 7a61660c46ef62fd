/* Reading the protobuf file of a SentencePiece model. */
#include "text/spm.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- protobuf: fields of a number and a value ---- */

struct message {
    const char *at, *end;
};

struct field {
    uint32_t number;
    uint64_t value;        /* of a varint */
    struct mega_span text; /* of a length-delimited field */
    float real;            /* of a 32-bit field */
    bool is_text, is_real;
};

static bool read_varint(struct message *m, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && m->at < m->end; shift += 7) {
        unsigned char byte = (unsigned char)*m->at++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static bool skip(struct message *m, size_t n)
{
    if (n > (size_t)(m->end - m->at)) return false;
    m->at += n;
    return true;
}

/* the next field; false at the end, with *whole telling whether it is a clean one */
static bool next_field(struct message *m, struct field *f, bool *whole)
{
    uint64_t key;
    *f = (struct field){ 0 };
    *whole = m->at == m->end;
    if (*whole || !read_varint(m, &key)) return false;
    f->number = (uint32_t)(key >> 3);
    switch (key & 7) {
    case 0: return read_varint(m, &f->value);
    case 1: return skip(m, 8);
    case 2:
        if (!read_varint(m, &f->value) || f->value > (size_t)(m->end - m->at)) return false;
        f->text = (struct mega_span){ m->at, (size_t)f->value };
        f->is_text = true;
        return skip(m, f->text.size);
    case 5:
        if (m->end - m->at < 4) return false;
        memcpy(&f->real, m->at, 4);
        f->is_real = true;
        return skip(m, 4);
    default: return false;
    }
}

static struct message inside(const struct field *f)
{
    return (struct message){ f->text.data, f->text.data + f->text.size };
}

/* ---- the model ---- */

struct reader {
    mega_tokenizer *t;
    struct mega_spm *m;
    const char *name;
    struct mega_span unk_surface, bos, eos, pad;
};

static mega_status damaged(const struct reader *r, const char *what)
{
    return mega_fail(MEGA_BAD_FILE, "%s: not a whole SentencePiece model: %s", r->name, what);
}

mega_status mega_spm_add(mega_tokenizer *t, struct mega_spm *m, struct mega_span text,
    float score, enum mega_spm_piece kind)
{
    if (m->pieces == m->room) {
        int32_t room = m->room ? 2 * m->room : 1024;
        float *scores = realloc(m->score, (size_t)room * sizeof *scores);
        if (scores) m->score = scores;
        unsigned char *kinds = scores ? realloc(m->kind, (size_t)room) : NULL;
        if (!kinds || room > MEGA_VOCAB_MOST)
            return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer's pieces");
        m->kind = kinds;
        m->room = room;
    }
    m->score[m->pieces] = score;
    m->kind[m->pieces] = (unsigned char)kind;
    return mega_vocab_set(&t->vocab, m->pieces++, text.data, text.size,
        kind == MEGA_SPM_CONTROL ? MEGA_PIECE_SPECIAL : 0);
}

static mega_status read_piece(struct reader *r, struct message message)
{
    struct field f;
    struct mega_span text = { "", 0 };
    float score = 0;
    uint64_t kind = MEGA_SPM_NORMAL;
    bool whole;
    while (next_field(&message, &f, &whole)) {
        if (f.number == 1 && f.is_text) text = f.text;
        if (f.number == 2 && f.is_real) score = f.real;
        if (f.number == 3 && !f.is_text) kind = f.value;
    }
    char where[80];
    snprintf(where, sizeof where, "the piece of id %d", (int)r->m->pieces);
    if (!whole || kind < MEGA_SPM_NORMAL || kind > MEGA_SPM_BYTE || !text.size ||
        !isfinite(score))
        return damaged(r, where);
    if (mega_vocab_find(&r->t->vocab, text.data, text.size) >= 0)
        return mega_fail(MEGA_BAD_FILE, "%s: %s, '%.*s', is there twice", r->name, where,
            (int)(text.size < 80 ? text.size : 80), text.data);
    if (kind == MEGA_SPM_UNKNOWN) {
        if (r->m->unk >= 0) return damaged(r, "two unknown pieces");
        r->m->unk = r->m->pieces;
    }
    return mega_spm_add(r->t, r->m, text, score, (enum mega_spm_piece)kind);
}

static mega_status read_trainer(struct reader *r, struct message message)
{
    struct field f;
    bool whole;
    while (next_field(&message, &f, &whole)) {
        switch (f.number) {
        case 3:
            if (f.value < MEGA_SPM_UNIGRAM || f.value > MEGA_SPM_CHAR)
                return damaged(r, "an unknown type of model");
            r->m->type = (enum mega_spm_type)f.value;
            break;
        case 24:
            if (f.value)
                return mega_fail(MEGA_UNSUPPORTED,
                    "%s: treat_whitespace_as_suffix is not supported", r->name);
            break;
        case 35: r->m->byte_fallback = f.value; break;
        case 44: r->unk_surface = f.text; break;
        case 46: r->bos = f.text; break;
        case 47: r->eos = f.text; break;
        case 48: r->pad = f.text; break;
        default: break;
        }
    }
    return whole ? MEGA_OK : damaged(r, "the trainer's settings are cut off");
}

static mega_status read_normalizer(struct reader *r, struct message message)
{
    struct field f;
    bool whole;
    while (next_field(&message, &f, &whole)) {
        switch (f.number) {
        case 2: MEGA_TRY(mega_spm_read_rules(r->m, r->name, f.text.data, f.text.size)); break;
        case 3: r->m->dummy_prefix = f.value; break;
        case 4: r->m->remove_extra = f.value; break;
        case 5: r->m->escape = f.value; break;
        default: break;
        }
    }
    return whole ? MEGA_OK : damaged(r, "the normaliser is cut off");
}

/* rules for decoding are made by hand, and rare */
static mega_status check_denormalizer(const struct reader *r, struct message message)
{
    struct field f;
    bool whole;
    while (next_field(&message, &f, &whole))
        if (f.number == 2 && f.text.size)
            return mega_fail(MEGA_UNSUPPORTED, "%s: a denormaliser is not supported", r->name);
    return MEGA_OK;
}

static mega_status read_message(struct reader *r, struct message message)
{
    struct field f;
    bool whole;
    while (next_field(&message, &f, &whole)) {
        if (!f.is_text) continue;
        if (f.number == 1) MEGA_TRY(read_piece(r, inside(&f)));
        if (f.number == 2) MEGA_TRY(read_trainer(r, inside(&f)));
        if (f.number == 3 && !r->m->unit) MEGA_TRY(read_normalizer(r, inside(&f)));
        if (f.number == 5) MEGA_TRY(check_denormalizer(r, inside(&f)));
    }
    if (!whole) return damaged(r, "the file is cut off or damaged");
    if (r->m->unk < 0) return damaged(r, "there is no unknown piece");
    return MEGA_OK;
}

/* ---- pieces ---- */

/* what decoding writes for a piece: blanks for their marks, a byte for its name */
static mega_status set_surface(struct reader *r, int32_t id)
{
    struct mega_vocab *v = &r->t->vocab;
    const struct mega_span *text = &v->piece[id].text;
    unsigned byte;
    char c;
    if (r->m->kind[id] == MEGA_SPM_UNKNOWN) v->piece[id].flags |= MEGA_PIECE_WHOLE;
    if (r->m->kind[id] == MEGA_SPM_UNKNOWN)
        return mega_vocab_surface(v, id, r->unk_surface.data, r->unk_surface.size);
    if (r->m->kind[id] == MEGA_SPM_BYTE) {
        if (text->size != 6 || sscanf(text->data, "<0x%2X>", &byte) != 1)
            return damaged(r, "a byte piece that names no byte");
        c = (char)byte;
        r->m->byte[byte] = id;
        return mega_vocab_surface(v, id, &c, 1);
    }
    if (r->m->kind[id] == MEGA_SPM_CONTROL) return MEGA_OK;
    struct mega_text out = { 0 };
    const char *p = text->data, *end = p + text->size, *mark;
    mega_text_add(&out, "%s", "");
    while ((mark = memmem(p, (size_t)(end - p), MEGA_SPM_BLANK, 3))) {
        mega_text_add_bytes(&out, p, (size_t)(mark - p));
        mega_text_add_bytes(&out, " ", 1);
        p = mark + 3;
    }
    mega_text_add_bytes(&out, p, (size_t)(end - p));
    mega_status status = out.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for pieces")
                                    : mega_vocab_surface(v, id, out.data, out.size);
    mega_text_done(&out);
    return status;
}

static mega_status add_to_tries(struct reader *r, int32_t id)
{
    struct mega_spm *m = r->m;
    const struct mega_span *text = &r->t->vocab.piece[id].text;
    bool fine = true;
    if (m->kind[id] == MEGA_SPM_USER_DEFINED)
        fine = mega_trie_add(&m->user, text->data, text->size, id);
    bool piece = m->kind[id] == MEGA_SPM_NORMAL || m->kind[id] == MEGA_SPM_USER_DEFINED ||
                 m->kind[id] == MEGA_SPM_UNUSED;
    if (fine && piece && m->type == MEGA_SPM_UNIGRAM)
        fine = mega_trie_add(&m->trie, text->data, text->size, id);
    return fine ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
}

static mega_status set_pieces(struct reader *r)
{
    struct mega_spm *m = r->m;
    float least = FLT_MAX;
    for (int32_t id = 0; id < m->pieces; id++) {
        MEGA_TRY(set_surface(r, id));
        MEGA_TRY(add_to_tries(r, id));
        if (m->kind[id] == MEGA_SPM_NORMAL && m->score[id] < least) least = m->score[id];
        if (m->kind[id] != MEGA_SPM_CONTROL) continue;
        MEGA_TRY(mega_specials_add(&r->t->specials,
            &(struct mega_added){
                .text = r->t->vocab.piece[id].text, .id = id, .special = true }));
    }
    m->unk_score = least - 10.0f;
    for (int i = 0; m->byte_fallback && i < 256; i++)
        if (m->byte[i] < 0) return damaged(r, "byte_fallback without the pieces of all bytes");
    return m->type == MEGA_SPM_BPE ? mega_spm_bpe_prepare(r->t, m) : MEGA_OK;
}

static int32_t control(const struct reader *r, const struct mega_span *text)
{
    int32_t id = mega_vocab_find(&r->t->vocab, text->data, text->size);
    return id >= 0 && r->m->kind[id] == MEGA_SPM_CONTROL ? id : -1;
}

mega_status mega_spm_read(mega_tokenizer *t, const char *path)
{
    static const char *const names[] = { [MEGA_SPM_UNIGRAM] = "SentencePiece unigram",
        [MEGA_SPM_BPE] = "SentencePiece BPE",
        [MEGA_SPM_WORD] = "SentencePiece words",
        [MEGA_SPM_CHAR] = "SentencePiece characters" };
    struct mega_spm *m = calloc(1, sizeof *m);
    if (!m) return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
    t->model = m;
    *m = (struct mega_spm){ .type = MEGA_SPM_UNIGRAM,
        .unk = -1,
        .dummy_prefix = true,
        .remove_extra = true,
        .escape = true };
    for (int i = 0; i < 256; i++) m->byte[i] = -1;
    struct reader r = { .t = t,
        .m = m,
        .name = path,
        .unk_surface = { " \xE2\x81\x87 ", 5 },
        .bos = { "<s>", 3 },
        .eos = { "</s>", 4 },
        .pad = { "<pad>", 5 } };
    const struct mega_text *file = &t->source[0].bytes;
    MEGA_TRY(read_message(&r, (struct message){ file->data, file->data + file->size }));
    m->blank =
        m->escape ? (struct mega_span){ MEGA_SPM_BLANK, 3 } : (struct mega_span){ " ", 1 };
    MEGA_TRY(set_pieces(&r));
    t->name = names[m->type];
    t->special[MEGA_BOS] = control(&r, &r.bos);
    t->special[MEGA_EOS] = control(&r, &r.eos);
    t->special[MEGA_PAD] = control(&r, &r.pad);
    t->special[MEGA_UNK] = m->unk;
    if (m->escape && (m->dummy_prefix || m->remove_extra))
        t->joining = (struct mega_joining){ .strip = 1,
            .of = m->remove_extra ? MEGA_STRIP_EACH : MEGA_STRIP_TEXT };
    return MEGA_OK;
}
