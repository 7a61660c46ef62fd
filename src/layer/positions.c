#include "layer/positions.h"

#include <math.h>
#include <string.h>

#include "graph/ops.h"

void mega_positions_build(mega_build *b, struct mega_positions *p,
    enum mega_positions_type type, int64_t width, int64_t longest, double scale)
{
    *p = (struct mega_positions){ .type = type, .scale = scale };
    if (type >= MEGA_POSITIONS_SINUSOIDAL && width % 2 && !b->status)
        b->status = mega_fail(MEGA_BAD_ARGUMENT,
            "width is %lld, expected an even number: sinusoidal positions are pairs",
            (long long)width);
    if (type == MEGA_POSITIONS_LEARNED)
        p->table = mega_param_add(b, "weight", (struct mega_init){ MEGA_INIT_NORMAL, 0, 0.02 },
            2, (int64_t[]){ longest, width });
    if (type == MEGA_POSITIONS_SCALED_SINUSOIDAL)
        p->gain = mega_param_add(b, "scale",
            (struct mega_init){ MEGA_INIT_CONSTANT, 1 / sqrt((double)width), 0 }, 1,
            (int64_t[]){ 1 });
}

mega_tensor *mega_positions_run(
    mega_run *r, const struct mega_positions *p, mega_tensor *x, const struct mega_rows *rows)
{
    static const enum mega_position_kind kinds[] = {
        [MEGA_POSITIONS_LEARNED] = MEGA_POSITION_LEARNED,
        [MEGA_POSITIONS_SINUSOIDAL] = MEGA_POSITION_SINUSOIDAL,
        [MEGA_POSITIONS_SCALED_SINUSOIDAL] = MEGA_POSITION_HALVES,
    };
    if (p->type == MEGA_POSITIONS_NONE) return x;
    struct mega_attr_position_embedding a;
    memset(&a, 0, sizeof a);
    a.kind = kinds[p->type];
    a.scale = p->scale;
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_position_embedding,
            .in = { x, p->table, p->gain },
            .attr = &a,
            .rows = rows },
        NULL);
}
