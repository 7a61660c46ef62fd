#include "data/text_encoder.h"

#include <stdlib.h>
#include <string.h>

mega_status mega_token_list_reserve(struct mega_token_list *ids, int64_t more)
{
    if (ids->n + more <= ids->room) return MEGA_OK;
    int64_t room = 2 * ids->room > ids->n + more ? 2 * ids->room : ids->n + more;
    int32_t *id = realloc(ids->id, (size_t)room * sizeof *id);
    if (!id) return mega_fail(MEGA_NO_MEMORY, "no memory for %lld ids", (long long)room);
    ids->id = id;
    ids->room = room;
    return MEGA_OK;
}

mega_status mega_token_list_add(struct mega_token_list *ids, const int32_t *id, int64_t n)
{
    MEGA_TRY(mega_token_list_reserve(ids, n));
    if (n) memcpy(ids->id + ids->n, id, (size_t)n * sizeof *id);
    ids->n += n;
    return MEGA_OK;
}

void mega_token_list_done(struct mega_token_list *ids)
{
    free(ids->id);
    *ids = (struct mega_token_list){ 0 };
}

/* ---- bytes ---- */

static mega_status encode_bytes(
    void *arg, const char *text, size_t n, bool begins, struct mega_token_list *out)
{
    (void)arg;
    (void)begins;
    MEGA_TRY(mega_token_list_reserve(out, (int64_t)n));
    for (size_t i = 0; i < n; i++) out->id[out->n++] = (unsigned char)text[i];
    return MEGA_OK;
}

static size_t cut_anywhere(void *arg, const char *text, size_t n)
{
    (void)arg;
    (void)text;
    return n;
}

const struct mega_text_encoder mega_text_encoder_bytes = {
    .encode = encode_bytes,
    .cut = cut_anywhere,
    .identity = 0x6d65676162797465u, /* "megabyte" */
    .vocabulary = 257,
    .bos = 256,
    .eos = 256,
    .pad = 256,
};
