#include "op/window.h"

#include <math.h>

#include "op/heads.h"

static bool real(const struct mega_rows *rows, int64_t b, int64_t j)
{
    return j < 0 || mega_rows_real(rows, b, j);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* keys of the window at place p of row b */
static struct mega_window window_of(const struct mega_call *c, int64_t b, int64_t p)
{
    const struct mega_attr_attention *a = c->attr;
    const struct mega_rows *rows = mega_window_keys(c);
    const mega_tensor *past = c->in[MEGA_ATTENTION_PAST_K];
    int64_t doc = mega_rows_doc(rows, b, p);
    struct mega_window w = { .from = doc, .to = rows->T };
    if (a->chunk > 0) {
        w.from = doc + (p - doc) / a->chunk * a->chunk;
        w.to = least(w.to, w.from + a->chunk);
    }
    w.from = most(w.from, past ? -past->dim[1] : 0);
    /* the document may end before the chunk does, and whatever comes between ends it */
    for (int64_t j = p + 1; rows->doc && j < w.to; j++)
        if (rows->doc[b * rows->T + j] != doc) w.to = j;
    for (int64_t j = p - 1; rows->doc && j >= 0 && j >= w.from; j--)
        if (rows->doc[b * rows->T + j] != doc) w.from = j + 1;
    return w;
}

void mega_window_look(const struct mega_call *c, int64_t b, int64_t i, struct mega_window *w)
{
    const struct mega_attr_attention *a = c->attr;
    int64_t p = mega_window_stand(c, i);
    w->low = w->from;
    w->seen = w->to;
    if (a->causal && p < 0) w->seen = w->from;
    if (a->causal && p >= 0)
        w->seen =
            least(w->to, most(p + 1, mega_rows_doc(mega_window_keys(c), b, p) + a->prefix));
    if (a->segment && p > w->from)
        w->low = most(w->low, p - (p - w->from) % a->segment - a->memory);
    if (!a->reach) return;
    w->low = most(w->low, p - a->reach + 1);
    w->seen = most(w->low, least(w->seen, p + a->reach));
}

struct mega_window mega_window_at(const struct mega_call *c, int64_t b, int64_t i)
{
    const struct mega_attr_attention *a = c->attr;
    const struct mega_rows *rows = mega_window_keys(c);
    int64_t p = mega_window_stand(c, i);
    /* before the first key there is none to look back at, and what lies ahead begins with it */
    struct mega_window w = { 0 };
    if (p >= 0 || !a->causal) w = window_of(c, b, most(p, 0));
    mega_window_look(c, b, i, &w);
    w.real = least(w.to, 0) - least(w.from, 0); /* all of the past is */
    for (int64_t j = most(w.from, 0); j < w.to; j++) w.real += real(rows, b, j);
    w.all = a->fn == MEGA_ATTENTION_SOFTMAX && !c->keys && !w.real;
    return w;
}

bool mega_window_real(
    const struct mega_call *c, const struct mega_window *w, int64_t b, int64_t j)
{
    return w->all || real(mega_window_keys(c), b, j);
}

int64_t mega_window_most(const struct mega_call *c)
{
    const struct mega_attr_attention *a = c->attr;
    const mega_tensor *past = c->in[MEGA_ATTENTION_PAST_K];
    int64_t T = most(c->rows->T, mega_window_keys(c)->T),
            places = past ? past->dim[1] + (a->chunk > 0 ? T : 0) : T;
    if (a->chunk > 0) places = least(a->chunk, places);
    return a->reach ? least(a->reach, places) : places;
}

double mega_window_divisor(const struct mega_call *c, const struct mega_window *w, int64_t i)
{
    const struct mega_attr_attention *a = c->attr;
    if (a->scale > 0) return 1 / a->scale;
    if (a->fn != MEGA_ATTENTION_LAPLACE && a->fn != MEGA_ATTENTION_RELU2)
        return sqrt((double)mega_heads_of(c).d);
    if (a->causal) return (double)most(1, mega_window_stand(c, i) - w->from + 1);
    return w->real > 1 ? (double)w->real : 1;
}

struct mega_window mega_window_from(
    const struct mega_call *c, int64_t b, int64_t i, int64_t *end)
{
    const struct mega_attr_attention *a = c->attr;
    struct mega_window w = mega_window_at(c, b, i);
    int64_t before = c->rows->T - mega_window_keys(c)->T; /* queries before the first key */
    bool none = a->causal && i < before;
    *end = none ? before : w.to + before;
    return w;
}
