/* What a sweep keeps for its backward pass.
 *
 * A tensor that a sweep makes and nobody outside asks for is
 *
 *   nowhere   where no backward pass reads its numbers: the branches that are added up
 *   remade    where it is read and comes from cheap ops, or from a kernel that makes it again
 *             from what it keeps
 *   kept      else; and where making it again would need as much kept before it */
#include "graph/sweep.h"
#include "kernel/widen.h"
#include "op/contracts.h"

extern const struct mega_op mega_op_linear;

static const mega_tensor *whole_of(const mega_tensor *t)
{
    return t->base ? t->base : t;
}

static bool reads(const struct mega_call *c, const mega_tensor *t, bool backward)
{
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i] && whole_of(c->in[i]) == t && !(backward && c->op->unread >> i & 1))
            return true;
    return false;
}

/* a linear layer looks at its output for the slope of its function alone, where it kept nothing
 * for it */
static bool reads_out(const struct mega_call *c)
{
    const struct mega_kernel *k = c->kernel;
    if (mega_is_widened(k)) k = ((const struct mega_widened *)(const void *)k)->inner;
    if (c->op != &mega_op_linear) return k->reads_out;
    const struct mega_attr_linear *a = c->attr;
    return k->reads_out && a->act != MEGA_ACT_LINEAR && !c->saved[0];
}

/* the backward pass of call k, which makes t, or of a later one looks at t's numbers */
static bool read_back(const struct sweep *s, int k, const mega_tensor *t)
{
    if (reads_out(&s->call[k]->call)) return true;
    for (int j = k + 1; j < s->n; j++)
        if (reads(&s->call[j]->call, t, true)) return true;
    return false;
}

/* a later call that is made again looks at them */
static bool read_again(const struct sweep *s, int k, const mega_tensor *t)
{
    for (int j = k + 1; j < s->n; j++) {
        const struct mega_call *c = &s->call[j]->call;
        if (s->remade >> j & 1 && !plan_again(c) && reads(c, t, false)) return true;
    }
    return false;
}

/* bytes that must be kept so that the inputs of call k are there again, and else need not */
static size_t price(const struct sweep *s, int k)
{
    const struct mega_call *c = &s->call[k]->call;
    size_t sum = 0;
    if (plan_again(c)) return 0;
    for (int i = 0; i < MEGA_IN; i++) {
        const mega_tensor *t = c->in[i] ? whole_of(c->in[i]) : NULL;
        int j = k - 1;
        while (t && j >= 0 && !sweep_makes(s->call[j], t)) j--;
        if (!t || j < 0 || !t->waits || read_back(s, j, t)) continue;
        const struct mega_call *maker = &s->call[j]->call;
        sum += maker->op->cheap ? price(s, j) : plan_again(maker) ? 0 : mega_size(t);
    }
    return sum;
}

void sweep_keep(mega_run *r, struct sweep *s)
{
    for (int k = s->n - 1; k >= 0; k--) {
        const struct mega_call *c = &s->call[k]->call;
        bool read = false;
        size_t size = 0;
        for (int i = 0; i < MEGA_OUT; i++) {
            const mega_tensor *t = c->out[i];
            if (!t || !t->waits) continue;
            size += mega_size(t);
            read |= read_back(s, k, t) || read_again(s, k, t);
        }
        if (!read || !(c->mode & MEGA_RUN_GRAD)) continue;
        size_t before = price(s, k);
        if ((c->op->cheap || plan_again(c)) && (!before || before < size)) {
            s->remade |= 1u << k;
            continue;
        }
        for (int i = 0; i < MEGA_OUT; i++)
            if (c->out[i] && c->out[i]->waits && !sweep_give_memory(r, c->out[i])) return;
    }
}
