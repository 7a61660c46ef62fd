/* Cases of multi-head attention alone: the official module under its file's names. */
#include "golden/block_case.h"
#include "layer/attention.h"

static struct mega_attention_options options(struct golden_case *c)
{
    static const struct mega_attention_names names = { "q", "k", "v", "out" };
    struct mega_attention_options o = { .width = golden_cfg_int(c, "D", 0),
        .heads = golden_cfg_int(c, "H", 1),
        .chunk = -1,
        .causal = golden_cfg_bool(c, "causal", false),
        .bias = golden_cfg_bool(c, "biases", true),
        .names = &names };
    o.kv_heads = o.heads;
    o.keys = o.values = golden_cfg_int(c, "Dq", 0) / o.heads;
    golden_cfg_int(c, "L", 0);
    golden_cfg(c, "zero_padded_outputs"); /* where there is padding it is */
    golden_cfg_expect(c, "mixer", "xfm");
    golden_cfg_expect(c, "compat", "paper");
    return o;
}

void golden_multi_head(struct golden_case *c)
{
    struct golden_block b;
    struct mega_attention m;
    struct mega_attention_options o = options(c);
    if (golden_block_open(c, &b)) {
        mega_attention_build(&b.build, &m, &o);
        b.time_first = false;
        if (golden_block_begin(&b, "x")) {
            mega_tensor *vis = golden_input(c, b.run, "vis", false); /* 1 = real */
            if (vis) b.held.real = vis->data;
            b.rows = mega_run_rows(b.run, &b.held);
            golden_block_end(&b, mega_attention_run(b.run, &m, b.x, b.rows));
        }
    }
    golden_block_close(&b);
}
