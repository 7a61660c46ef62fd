#include "layer/shift.h"

#include <string.h>

#include "graph/ops.h"

void mega_shift_build(mega_build *b, struct mega_shift *s, int64_t width)
{
    s->past = NULL;
    if (!s->steps || s->two_way) return;
    s->past = mega_cell_add(
        b, "shifted", MEGA_CELL_ROW, MEGA_F32, 2, (int64_t[]){ s->steps, width }, 0);
}

mega_tensor *mega_shift_run(
    mega_run *r, const struct mega_shift *s, mega_tensor *x, const struct mega_rows *rows)
{
    if (!s->steps) return x;
    struct mega_attr_shift a;
    memset(&a, 0, sizeof a);
    a.steps = s->steps;
    a.two_way = s->two_way;
    a.blind = s->blind;
    struct mega_call c = { .op = &mega_op_shift, .attr = &a, .rows = rows };
    c.in[MEGA_SHIFT_X] = x;
    if (s->past) c.in[MEGA_SHIFT_PAST] = mega_cell_get(r, s->past);
    a.state = c.in[MEGA_SHIFT_PAST] != NULL;
    mega_tensor *y = mega_run_call(r, &c, NULL);
    if (a.state) mega_cell_set(r, s->past, c.out[1]);
    return y;
}
