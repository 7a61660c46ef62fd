#include "kernel/example_chain.h"

struct chain {
    const struct mega_link *link;
    int n;
    struct mega_call call[MEGA_LINKS];
    mega_tensor made[MEGA_LINKS], gradient[MEGA_LINKS]; /* of each link's output */
};

static void make_room(const struct mega_call *c, mega_tensor *t)
{
    t->data = mega_scratch(c->work, mega_size(t));
}

/* runs all links; what they make is kept in scratch */
static struct chain *run_chain(const struct mega_call *c, const struct mega_link *links, int n)
{
    struct chain *k = mega_scratch(c->work, sizeof *k);
    *k = (struct chain){ .link = links, .n = n };
    for (int i = 0; i < n; i++) {
        struct mega_call *call = &k->call[i];
        *call = (struct mega_call){ .op = links[i].op,
            .attr = links[i].attr,
            .rows = c->rows,
            .dtype = MEGA_F64,
            .mode = c->mode,
            .now = c->now,
            .site = links[i].site,
            .work = c->work };
        for (int j = 0; j < links[i].n; j++) {
            int in = links[i].in[j];
            call->in[j] = in >= 0 ? c->in[in] : &k->made[-1 - in];
        }
        call->op->shape(call, &k->made[i]);
        k->gradient[i] = k->made[i];
        make_room(c, &k->made[i]);
        make_room(c, &k->gradient[i]);
        call->out[0] = &k->made[i];
        call->op->reference.forward(call);
    }
    return k;
}

void mega_chain_forward(const struct mega_call *c, const struct mega_link *links, int n)
{
    struct chain *k = run_chain(c, links, n);
    mega_tensor_copy(c->out[0], &k->made[n - 1]);
}

void mega_chain_backward(
    const struct mega_call *c, struct mega_grads *g, const struct mega_link *links, int n)
{
    struct chain *k = run_chain(c, links, n);
    for (int i = n - 1; i >= 0; i--) {
        struct mega_grads link = { .touched = ~0u };
        link.out[0] = i == n - 1 ? g->out[0] : &k->gradient[i];
        for (int j = 0; j < links[i].n; j++) {
            int in = links[i].in[j];
            link.in[j] = in >= 0 ? g->in[in] : &k->gradient[-1 - in];
            if (in >= 0) link.add |= (g->add >> in & 1) << j;
        }
        links[i].op->reference.backward(&k->call[i], &link);
    }
}
