#include "infer/state.h"
#include "model/transformer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static mega_tensor *features(
    mega_run *r, const void *model, mega_tensor *ids, const struct mega_rows *rows)
{
    return mega_transformer_run(r, model, ids, rows);
}

/* the small model whose states the seeds are */
static struct {
    mega_context *context;
    mega_run *run;
    struct mega_store store;
    struct mega_transformer transformer;
    struct mega_step_model step;
} m;

static bool make_model(void)
{
    struct mega_transformer_options o = { .vocabulary = 7,
        .width = 4,
        .plan = { .layers = 1 },
        .ffn = { .each = 4 },
        .longest = 16,
        .heads = { .each = 2 },
        .chunk = { .each = -1 },
        .positions = MEGA_POSITIONS_LEARNED,
        .position_scale = 1,
        .act = MEGA_ACT_GELU,
        .norm_eps = 1e-5,
        .causal = true,
        .norm_affine = true };
    mega_build b = { .store = &m.store };
    if (mega_context_new(&m.context, NULL) || mega_store_init(&m.store)) return false;
    mega_transformer_build(&b, &m.transformer, &o);
    if (b.status || mega_store_lay_out(&m.store, false)) return false;
    mega_store_fill(&m.store, 1);
    m.step = (struct mega_step_model){ .model = &m.transformer,
        .store = &m.store,
        .features = features,
        .vocabulary = o.vocabulary,
        .longest = o.longest };
    return !mega_run_new(&m.run, m.context);
}

static enum mega_ending listen(void *arg, int64_t draft, const struct mega_draft *d)
{
    (void)arg, (void)draft, (void)d;
    return MEGA_ENDING_NONE;
}

/* loads a state and goes on with it */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    if (!made && !make_model()) __builtin_trap();
    made = true;
    struct mega_composer c;
    struct mega_compose_options o = {
        .sampling = mega_sampling_plain(), .rows = 4, .piece = 4, .tokens = 3, .slide = true
    };
    o.sampling.repetition_penalty = 1.1;
    if (mega_composer_init(&c, &m.step, m.run, MEGA_ISA_BASE, &o)) __builtin_trap();
    bool loaded = !mega_state_parse("fuzz", data, size, &c, "fuzz");
    for (int64_t k = 0; loaded && k < c.n; k++) loaded = !mega_composer_extend(&c, k, NULL, 0);
    if (loaded) mega_composer_run(&c, listen, NULL);
    mega_composer_done(&c);
    return 0;
}
