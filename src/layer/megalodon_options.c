/* What a Megalodon layer cannot be, and how its weights begin. */
#include "layer/megalodon.h"
#include "layer/megalodon_init.h"

mega_status mega_megalodon_check(const struct mega_megalodon_options *o)
{
    if (o->heads < 1 || o->keys < 1 || o->keys % o->heads || o->keys / o->heads % 2)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "keys is %lld and heads is %lld: expected an even number of keys for each head",
            (long long)o->keys, (long long)o->heads);
    if (o->values < 1 || o->values % o->heads)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "values is %lld and heads is %lld: expected a multiple", (long long)o->values,
            (long long)o->heads);
    if (o->chunk < 1)
        return mega_fail(MEGA_BAD_ARGUMENT, "chunk is %lld, expected a length of at least 1",
            (long long)o->chunk);
    if (o->groups < 1 || o->width < 1 || o->width % o->groups)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "groups is %lld and width is %lld: expected a divisor of the width",
            (long long)o->groups, (long long)o->width);
    if (o->hidden < 1 || o->states < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "a feed-forward of %lld channels and an EMA of %lld states: expected at least 1 of "
            "each",
            (long long)o->hidden, (long long)o->states);
    if (o->gates.kind && o->gates.branches)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "head_gates does not go with branch_gates: attention is closed when all its heads "
            "are");
    return MEGA_OK;
}

struct mega_init mega_megalodon_init_of(const struct mega_megalodon_options *o)
{
    switch (o->init) {
    case MEGA_MEGALODON_BERT: return (struct mega_init){ MEGA_INIT_NORMAL, 0, 0.02 };
    case MEGA_MEGALODON_XAVIER: return (struct mega_init){ MEGA_INIT_XAVIER, 0, 0 };
    case MEGA_MEGALODON_GAUSSIAN: return (struct mega_init){ MEGA_INIT_TRUNCATED, 3, 1 };
    case MEGA_MEGALODON_NONE: return (struct mega_init){ MEGA_INIT_CONSTANT, 0, 0 };
    default: break;
    }
    /* he: sqrt(2 / (1 + 5)) / sqrt(inputs); the port: sqrt(2) / sqrt(inputs) */
    double gain = o->port ? 1.41421356237309505 : 0.57735026918962576;
    return (struct mega_init){ MEGA_INIT_FAN_IN, 0, gain };
}
