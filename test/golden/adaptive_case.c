/* Cases of adaptive input and adaptive softmax alone. */
#include <stdio.h>
#include <stdlib.h>

#include "golden/block_case.h"
#include "layer/adaptive_softmax.h"

/* "5,9" */
static struct mega_bands_options read_bands(struct golden_case *c)
{
    struct mega_bands_options o = { .vocabulary = golden_cfg_int(c, "vocab_size", 0),
        .factor = golden_cfg_real(c, "factor", 4) };
    const char *at = golden_cfg(c, "cutoff");
    for (char *end; *at && o.cutoffs < MEGA_BANDS; at = *end == ',' ? end + 1 : end) {
        o.cutoff[o.cutoffs++] = strtoll(at, &end, 10);
        if (end == at || (*end && *end != ',')) {
            golden_unsupported(c, "cfg.cutoff is %s", golden_cfg(c, "cutoff"));
            break;
        }
    }
    return o;
}

void golden_adaptive_input(struct golden_case *c)
{
    struct golden_block b;
    struct mega_adaptive_input f;
    struct mega_adaptive_input_options o = { .bands = read_bands(c),
        .input_width = golden_cfg_int(c, "initial_dim", 0),
        .width = golden_cfg_int(c, "output_dim", 0),
        .pad = golden_cfg_int(c, "padding_idx", -1),
        .scale = 1 };
    if (golden_block_open(c, &b)) {
        mega_adaptive_input_build(&b.build, &f, &o);
        if (golden_block_begin(&b, NULL)) {
            mega_tensor *tokens = golden_input(c, b.run, "tokens", false);
            golden_backward(c, b.run, mega_adaptive_input_run(b.run, &f, tokens), false);
            if (golden_check(c, mega_run_end(b.run))) golden_compare_gradients(c, &b.store);
        }
    }
    golden_block_close(&b);
}

void golden_adaptive_softmax(struct golden_case *c)
{
    struct golden_block b;
    struct mega_adaptive_softmax f;
    struct mega_adaptive_softmax_options o = {
        .bands = read_bands(c), .width = golden_cfg_int(c, "input_dim", 0), .pad = -1
    };
    if (golden_block_open(c, &b)) {
        b.time_first = false;
        mega_adaptive_softmax_build(&b.build, &f, &o);
        if (golden_block_begin(&b, "x")) {
            mega_tensor *next = golden_input(c, b.run, "target", false);
            golden_compare(
                c, "out.log_probs", mega_adaptive_softmax_log_probs(b.run, &f, b.x), false);
            golden_block_end(
                &b, mega_adaptive_softmax_loss(b.run, &f, b.x, next, b.rows, NULL));
        }
    }
    golden_block_close(&b);
}
