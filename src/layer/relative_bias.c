#include "layer/relative_bias.h"

#include "graph/ops.h"

void mega_relative_bias_build(mega_build *b, struct mega_relative_bias *p,
    enum mega_bias_type type, int64_t longest, int64_t keys)
{
    *p = (struct mega_relative_bias){ .type = type };
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 };
    if (type == MEGA_BIAS_SIMPLE) {
        p->table = mega_param_add(b, "rel_pos_bias", small, 1, (int64_t[]){ 2 * longest - 1 });
    } else {
        p->alpha = mega_param_add(b, "alpha", small, 2, (int64_t[]){ 1, keys });
        p->beta = mega_param_add(b, "beta", small, 2, (int64_t[]){ 1, keys });
    }
}

mega_tensor *mega_relative_bias_run(
    mega_run *r, const struct mega_relative_bias *p, int64_t length)
{
    if (p->type == MEGA_BIAS_SIMPLE) return p->table;
    struct mega_attr_rotary_bias a = { .length = length > 0 ? length : 1 };
    return mega_run_call(r,
        &(struct mega_call){
            .op = &mega_op_rotary_bias, .in = { p->alpha, p->beta }, .attr = &a },
        NULL);
}
