#include "layer/adaptive_input.h"

#include <math.h>

#include "graph/ops.h"

/* the pad's number in band i; -1: it is another band's */
static int64_t pad_of(const struct mega_adaptive_input *f, int64_t i)
{
    int64_t pad = f->options.pad - mega_bands_first(&f->bands, i);
    return f->options.pad >= 0 && pad >= 0 && pad < mega_bands_size(&f->bands, i) ? pad : -1;
}

static void build_band(mega_build *b, struct mega_adaptive_input *f, int64_t i)
{
    const struct mega_adaptive_input_options *o = &f->options;
    int64_t size = mega_bands_size(&f->bands, i),
            d = mega_bands_width(&f->bands, o->input_width, i),
            zero = o->zero_each ? o->pad : pad_of(f, i);
    if (d < 1 && !b->status)
        b->status = mega_fail(MEGA_BAD_ARGUMENT,
            "band %lld has width %lld / %g^%lld, less than 1: expected fewer cutoffs or a "
            "smaller factor",
            (long long)i, (long long)o->input_width, f->bands.factor, (long long)i);
    size_t entered = mega_build_enter(b, "embeddings.%lld", (long long)i);
    f->table[i] = mega_param_add(b, "0.weight",
        (struct mega_init){ MEGA_INIT_PADDED, (double)zero, 1 / sqrt((double)d) }, 2,
        (int64_t[]){ size, d });
    f->projection[i] = mega_param_add(b, "1.weight",
        (struct mega_init){ MEGA_INIT_XAVIER, 0, 0 }, 2, (int64_t[]){ o->width, d });
    mega_build_leave(b, entered);
}

void mega_adaptive_input_build(
    mega_build *b, struct mega_adaptive_input *f, const struct mega_adaptive_input_options *o)
{
    *f = (struct mega_adaptive_input){ .options = *o };
    mega_bands_build(b, &f->bands, &o->bands);
    for (int64_t i = 0; i < f->bands.n && !b->status; i++) build_band(b, f, i);
}

mega_tensor *mega_adaptive_input_run(
    mega_run *r, const struct mega_adaptive_input *f, mega_tensor *tokens)
{
    struct mega_call c = { .op = &mega_op_choose };
    c.in[MEGA_CHOOSE_WHICH] = mega_bands_run(r, &f->bands, tokens, MEGA_BAND_WHICH, -1);
    for (int64_t i = 0; i < f->bands.n; i++) {
        mega_tensor *inside = mega_bands_run(r, &f->bands, tokens, i, -1);
        mega_tensor *x =
            embedding(r, f->table[i], inside, pad_of(f, i), f->options.scale); /* [B, T, d] */
        c.in[MEGA_CHOOSE_X + i] = linear(r, x, f->projection[i], NULL, MEGA_ACT_LINEAR);
    }
    return mega_run_call(r, &c, NULL);
}
