/* Encoding: special tokens are found first, the kind encodes the stretches between them. */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

bool mega_ids_add(struct mega_ids *ids, const int32_t *id, size_t n)
{
    if (ids->n + n > ids->room) {
        size_t room = ids->room ? ids->room : 64;
        while (room < ids->n + n) room += room / 2;
        int32_t *grown = realloc(ids->id, room * sizeof *grown);
        if (!grown) return false;
        ids->id = grown;
        ids->room = room;
    }
    if (n) memcpy(ids->id + ids->n, id, n * sizeof *id);
    ids->n += n;
    return true;
}

void mega_ids_done(struct mega_ids *ids)
{
    free(ids->id);
    *ids = (struct mega_ids){ 0 };
}

void mega_emit_block(struct mega_workspace *w)
{
    if (!w->status && w->n) w->status = w->take(w->arg, w->block, w->n);
    w->n = 0;
}

mega_status mega_fail_utf8(const struct mega_workspace *w, const char *at)
{
    return mega_fail(MEGA_BAD_FILE,
        "byte %zu of the text, 0x%02x, is not valid UTF-8, and this tokenizer reads characters",
        (size_t)(at - w->text) + 1, (unsigned char)*at);
}

/* ---- workspaces ---- */

static mega_status take_workspace(const mega_tokenizer *t, struct mega_workspace **out)
{
    /* the list of idle workspaces is no part of what a tokenizer is */
    mega_tokenizer *mine = (mega_tokenizer *)(uintptr_t)t;
    pthread_mutex_lock(&mine->lock);
    struct mega_workspace *w = mine->idle;
    if (w) mine->idle = w->next;
    pthread_mutex_unlock(&mine->lock);
    if (!w) w = calloc(1, sizeof *w);
    *out = w;
    return w ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory to encode");
}

static void give_workspace(const mega_tokenizer *t, struct mega_workspace *w)
{
    mega_tokenizer *mine = (mega_tokenizer *)(uintptr_t)t;
    w->take = NULL;
    w->text = NULL;
    pthread_mutex_lock(&mine->lock);
    w->next = mine->idle;
    mine->idle = w;
    pthread_mutex_unlock(&mine->lock);
}

/* ---- encoding ---- */

static mega_status encode_stretches(const mega_tokenizer *t, struct mega_workspace *w,
    const char *text, size_t size, bool specials)
{
    size_t from = 0, start, stop;
    const struct mega_added *a;
    bool first = !w->inside;
    while ((a = mega_specials_find(
                &t->specials, false, specials, text, size, from, &start, &stop))) {
        if (start > from)
            MEGA_TRY(t->kind->encode(t, w, text + from, start - from, first && from == 0));
        mega_emit(w, a->id);
        from = stop;
        if (w->status) return w->status;
    }
    return from < size || !size
               ? t->kind->encode(t, w, text + from, size - from, first && from == 0)
               : MEGA_OK;
}

static mega_status find_ends(const mega_tokenizer *t, const struct mega_encode_options *o)
{
    static const char message[] = "this tokenizer (%s) has no token for the %s of a text";
    const char *name = mega_tokenizer_kind(t);
    if (o->bos && t->special[MEGA_BOS] < 0)
        return mega_fail(MEGA_BAD_ARGUMENT, message, name, "begin");
    if (o->eos && t->special[MEGA_EOS] < 0)
        return mega_fail(MEGA_BAD_ARGUMENT, message, name, "end");
    return MEGA_OK;
}

mega_status mega_tokenizer_encode_each(const mega_tokenizer *t, const void *text, size_t size,
    const struct mega_encode_options *options, mega_ids_fn *take, void *arg)
{
    static const struct mega_encode_options none = { 0 };
    const struct mega_encode_options *o = options ? options : &none;
    struct mega_workspace *w;
    MEGA_TRY(find_ends(t, o));
    MEGA_TRY(take_workspace(t, &w));
    w->take = take;
    w->arg = arg;
    w->status = MEGA_OK;
    w->text = text ? text : "";
    w->specials = o->specials;
    w->frame = o->frame;
    w->inside = o->inside;
    w->n = 0;
    if (o->bos) mega_emit(w, t->special[MEGA_BOS]);
    for (size_t i = 0; o->frame && i < t->before.n; i++) mega_emit(w, t->before.id[i]);
    mega_status status = encode_stretches(t, w, w->text, size, o->specials);
    for (size_t i = 0; o->frame && i < t->after.n; i++) mega_emit(w, t->after.id[i]);
    if (o->eos) mega_emit(w, t->special[MEGA_EOS]);
    if (!status) {
        mega_emit_block(w);
        status = w->status;
    }
    give_workspace(t, w);
    return status;
}

static mega_status append(void *arg, const int32_t *id, size_t n)
{
    return mega_ids_add(arg, id, n) ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for ids");
}

mega_status mega_tokenizer_encode(const mega_tokenizer *t, const void *text, size_t size,
    const struct mega_encode_options *options, struct mega_ids *out)
{
    size_t n = out->n;
    mega_status status = mega_tokenizer_encode_each(t, text, size, options, append, out);
    if (status) out->n = n;
    return status;
}
