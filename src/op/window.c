#include "op/window.h"

#include <math.h>

#include "op/heads.h"

static bool real(const struct mega_rows *rows, int64_t b, int64_t j)
{
    return j < 0 || mega_rows_real(rows, b, j);
}

struct mega_window mega_window_at(const struct mega_call *c, int64_t b, int64_t i)
{
    const struct mega_attr_attention *a = c->attr;
    const struct mega_rows *rows = c->rows;
    int64_t doc = mega_rows_doc(rows, b, i);
    struct mega_window w = { .from = doc, .to = rows->T };
    if (a->chunk > 0) {
        w.from = doc + (i - doc) / a->chunk * a->chunk;
        if (w.from + a->chunk < w.to) w.to = w.from + a->chunk;
    }
    /* the document may end before the chunk does, and whatever comes between ends it */
    for (int64_t j = i + 1; rows->doc && j < w.to; j++)
        if (rows->doc[b * rows->T + j] != doc) w.to = j;
    for (int64_t j = i - 1; rows->doc && j >= 0 && j >= w.from; j--)
        if (rows->doc[b * rows->T + j] != doc) w.from = j + 1;
    for (int64_t j = w.from; j < w.to; j++) w.real += real(rows, b, j);
    w.all = a->fn == MEGA_ATTENTION_SOFTMAX && !w.real;
    w.seen = a->causal ? i + 1 : w.to;
    return w;
}

bool mega_window_real(
    const struct mega_call *c, const struct mega_window *w, int64_t b, int64_t j)
{
    return w->all || real(c->rows, b, j);
}

int64_t mega_window_most(const struct mega_call *c)
{
    const struct mega_attr_attention *a = c->attr;
    const mega_tensor *past = c->in[MEGA_ATTENTION_PAST_K];
    int64_t reach = past ? past->dim[1] + (a->chunk > 0 ? c->rows->T : 0) : c->rows->T;
    return a->chunk > 0 && a->chunk < reach ? a->chunk : reach;
}

double mega_window_divisor(const struct mega_call *c, const struct mega_window *w, int64_t i)
{
    const struct mega_attr_attention *a = c->attr;
    if (a->scale > 0) return 1 / a->scale;
    if (a->fn == MEGA_ATTENTION_SOFTMAX) return sqrt((double)mega_heads_of(c).d);
    if (a->causal) return (double)(i - w->from + 1);
    return w->real > 1 ? (double)w->real : 1;
}
