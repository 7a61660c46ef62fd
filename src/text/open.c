/* Opening: which kind of tokenizer is this file or folder? And saving, closing, asking. */
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "text/tokenizer.h"

#define X(name) extern const struct mega_tokenizer_kind mega_tokenizer_kind_##name;
#include "text/tokenizers.def"
#undef X

#define X(name) &mega_tokenizer_kind_##name,
const struct mega_tokenizer_kind *const mega_tokenizer_kinds[] = {
#include "text/tokenizers.def"
    NULL,
};
#undef X

/* pieces of a vocabulary: far more than any has, and only address space */
#define RESERVE ((size_t)1 << 34)

static mega_status new_tokenizer(mega_tokenizer **out)
{
    mega_tokenizer *t = calloc(1, sizeof *t);
    if (!t) return mega_fail(MEGA_NO_MEMORY, "no memory for a tokenizer");
    mega_status status = mega_arena_init(&t->arena, RESERVE);
    if (status) {
        free(t);
        return status;
    }
    pthread_mutex_init(&t->lock, NULL);
    t->vocab.arena = &t->arena;
    for (int i = 0; i < 4; i++) t->special[i] = -1;
    *out = t;
    return MEGA_OK;
}

void mega_tokenizer_close(mega_tokenizer *t)
{
    if (!t) return;
    for (struct mega_workspace *w = t->idle, *next; w; w = next) {
        next = w->next;
        if (w->own && t->kind->forget) t->kind->forget(w->own);
        free(w);
    }
    if (t->model && t->kind->done) t->kind->done(t->model);
    for (int i = 0; i < t->sources; i++) mega_text_done(&t->source[i].bytes);
    mega_ids_done(&t->before);
    mega_ids_done(&t->after);
    mega_specials_done(&t->specials);
    mega_vocab_done(&t->vocab);
    mega_arena_done(&t->arena);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

mega_status mega_tokenizer_keep(mega_tokenizer *t, const char *name, struct mega_text *bytes)
{
    if (t->sources == MEGA_SOURCES_MOST || bytes->failed)
        return mega_fail(MEGA_NO_MEMORY, "no memory for %s", name);
    t->source[t->sources++] = (struct mega_source){ name, *bytes };
    *bytes = (struct mega_text){ 0 };
    return MEGA_OK;
}

/* ---- finding the file ---- */

static const struct mega_tokenizer_kind *kind_of(
    const char *path, const struct mega_text *bytes)
{
    for (const struct mega_tokenizer_kind *const *k = mega_tokenizer_kinds; *k; k++)
        if ((*k)->is(path, bytes->data, bytes->size)) return *k;
    return NULL;
}

/* the path of the first file in a folder that a kind knows by name; `path` is empty where there
 * is none */
static mega_status find_in_folder(const char *folder, struct mega_text *path)
{
    char name[64];
    struct mega_text wanted = { 0 };
    for (const struct mega_tokenizer_kind *const *k = mega_tokenizer_kinds; *k; k++)
        for (int i = 0; mega_choice_name((*k)->files, i, name, sizeof name) > 0; i++) {
            mega_text_clear(path);
            mega_text_add(path, "%s/%s", folder, name);
            if (!path->failed && mega_path_exists(path->data)) {
                mega_text_done(&wanted);
                return MEGA_OK;
            }
            mega_text_add(&wanted, "%s%s", wanted.size ? ", " : "", name);
        }
    mega_status status = mega_fail(MEGA_BAD_ARGUMENT,
        "%s holds no tokenizer: expected one of %s", folder, wanted.data ? wanted.data : "");
    mega_text_done(&wanted);
    return status;
}

static mega_status read_as(
    mega_tokenizer *t, const struct mega_tokenizer_kind *kind, const char *path)
{
    t->kind = kind;
    return kind->read(t, path);
}

/* under the name by which a folder has it */
static mega_status keep_first(mega_tokenizer *t, const struct mega_tokenizer_kind *kind,
    const char *path, struct mega_text *bytes)
{
    char name[64];
    mega_choice_name(kind->files, 0, name, sizeof name);
    char *kept = mega_arena_text(&t->arena, name);
    return kept ? mega_tokenizer_keep(t, kept, bytes)
                : mega_fail(MEGA_NO_MEMORY, "no memory for %s", path);
}

static mega_status read_file(mega_tokenizer *t, const char *path)
{
    struct mega_text bytes = { 0 };
    mega_status status = mega_file_read_gz(path, &bytes);
    const struct mega_tokenizer_kind *kind = status ? NULL : kind_of(path, &bytes);
    if (!status && !kind)
        status = mega_fail(MEGA_BAD_FILE,
            "%s is no tokenizer that is known here: a tokenizer.json, a vocab.json beside its "
            "merges.txt, a SentencePiece model, BPE codes, a dictionary, a llama2.c tokenizer",
            path);
    if (!status) status = keep_first(t, kind, path, &bytes);
    mega_text_done(&bytes);
    return status ? status : read_as(t, kind, path);
}

mega_status mega_tokenizer_open(mega_tokenizer **out, const char *path)
{
    mega_tokenizer *t;
    struct mega_text found = { 0 };
    MEGA_TRY(new_tokenizer(&t));
    mega_status status = MEGA_OK;
    if (!strcmp(path, "bytes")) {
        status = read_as(t, &mega_tokenizer_kind_bytes, path);
    } else {
        if (mega_path_is_folder(path))
            status = find_in_folder(path, &found);
        else
            mega_text_add(&found, "%s", path);
        if (!status)
            status = found.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for a path")
                                  : read_file(t, found.data);
    }
    mega_text_done(&found);
    if (status)
        mega_tokenizer_close(t);
    else
        *out = t;
    return status;
}

mega_status mega_tokenizer_read_pair(mega_tokenizer **out,
    const struct mega_tokenizer_kind *kind, const char *path, struct mega_text *bytes,
    const char *other, struct mega_text *other_bytes)
{
    mega_tokenizer *t;
    MEGA_TRY(new_tokenizer(&t));
    t->alone = true;
    mega_status status = keep_first(t, kind, path, bytes);
    if (!status && other) status = mega_tokenizer_keep(t, other, other_bytes);
    if (!status) status = read_as(t, kind, path);
    if (status)
        mega_tokenizer_close(t);
    else
        *out = t;
    return status;
}

mega_status mega_tokenizer_read(mega_tokenizer **out, const struct mega_tokenizer_kind *kind,
    const char *path, const void *bytes, size_t n)
{
    struct mega_text copy = { 0 };
    mega_text_add_bytes(&copy, bytes, n);
    mega_status status = mega_tokenizer_read_pair(out, kind, path, &copy, NULL, NULL);
    mega_text_done(&copy);
    return status;
}

mega_status mega_tokenizer_sibling(
    mega_tokenizer *t, const char *path, const char *names, const struct mega_text **bytes)
{
    char name[64];
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;
    struct mega_text other = { 0 }, file = { 0 };
    mega_status status = MEGA_OK;
    *bytes = NULL;
    for (int i = 1; i < t->sources; i++)
        if (mega_choice_find(names, t->source[i].name) >= 0) *bytes = &t->source[i].bytes;
    for (int i = 0;
         !*bytes && !status && !t->alone && mega_choice_name(names, i, name, sizeof name) > 0;
         i++) {
        mega_text_clear(&other);
        mega_text_add(&other, "%.*s%s", folder, path, name);
        if (other.failed || !mega_path_exists(other.data)) continue;
        /* it is saved under the first of its names */
        mega_choice_name(names, 0, name, sizeof name);
        char *kept = mega_arena_text(&t->arena, name);
        status = mega_file_read_gz(other.data, &file);
        if (!status)
            status = kept ? mega_tokenizer_keep(t, kept, &file)
                          : mega_fail(MEGA_NO_MEMORY, "no memory for %s", other.data);
        if (!status) *bytes = &t->source[t->sources - 1].bytes;
    }
    mega_text_done(&other);
    mega_text_done(&file);
    return status;
}

mega_status mega_tokenizer_save(const mega_tokenizer *t, const char *folder)
{
    MEGA_TRY(mega_folder_make(folder));
    for (int i = 0; i < t->sources; i++) {
        const struct mega_source *s = &t->source[i];
        struct mega_text path = { 0 };
        mega_text_add(&path, "%s/%s", folder, s->name);
        mega_status status = path.failed
                                 ? mega_fail(MEGA_NO_MEMORY, "no memory to save a tokenizer")
                                 : mega_file_write(path.data, s->bytes.data, s->bytes.size);
        mega_text_done(&path);
        if (status) return status;
    }
    return MEGA_OK;
}

/* ---- asking ---- */

const char *mega_tokenizer_kind(const mega_tokenizer *t)
{
    return t->name ? t->name : t->kind->name;
}

int32_t mega_tokenizer_size(const mega_tokenizer *t)
{
    return t->vocab.n;
}

const char *mega_tokenizer_piece(const mega_tokenizer *t, int32_t id, size_t *size)
{
    if (!mega_vocab_has(&t->vocab, id)) return NULL;
    *size = t->vocab.piece[id].text.size;
    return t->vocab.piece[id].text.data;
}

int32_t mega_tokenizer_find(const mega_tokenizer *t, const char *piece, size_t size)
{
    return mega_vocab_find(&t->vocab, piece, size);
}

int32_t mega_tokenizer_special(const mega_tokenizer *t, enum mega_special which)
{
    return t->special[which];
}

bool mega_tokenizer_is_special(const mega_tokenizer *t, int32_t id)
{
    return mega_vocab_has(&t->vocab, id) && t->vocab.piece[id].flags & MEGA_PIECE_SPECIAL;
}

int32_t mega_tokenizer_mask(const mega_tokenizer *t)
{
    return mega_vocab_any(&t->vocab, "[MASK] <mask>");
}

int32_t mega_vocab_any(const struct mega_vocab *v, const char *names)
{
    for (size_t size; *names; names += size + (names[size] == ' ')) {
        size = strcspn(names, " ");
        int32_t id = mega_vocab_find(v, names, size);
        if (id >= 0) return id;
    }
    return -1;
}
