/* Cases of whole Transformers from tokens to logits: whole, token by token. */
#include "golden/transformer_case.h"

#include <stdlib.h>
#include <string.h>

static bool begin(struct transformer_case *t)
{
    transformer_case_options(t);
    if (t->c->verdict || !golden_check(t->c, mega_store_init(&t->store))) return false;
    mega_build b = { .store = &t->store };
    mega_transformer_build(&b, &t->model, &t->options);
    /* tiles cannot do everything, and say so */
    t->c->refused = b.status && t->c->exec && strstr(mega_message(), "attn_exec");
    if (t->c->refused || !golden_check(t->c, b.status) ||
        !golden_check(t->c, mega_store_lay_out(&t->store, true)))
        return false;
    transformer_case_load(t);
    return !t->c->verdict && golden_check(t->c, golden_run_new(t->c, &t->run));
}

static void end(struct transformer_case *t)
{
    mega_run_free(t->run);
    mega_store_done(&t->store);
}

/* the rows of an input [B, T, ...]; of its mask 1 = a token */
static struct mega_rows rows_of(
    struct transformer_case *t, mega_tensor *input, const char *mask)
{
    mega_tensor *real = golden_input(t->c, t->run, mask, false);
    return (struct mega_rows){
        .B = mega_dim(input, 0), .T = mega_dim(input, 1), .real = real ? real->data : NULL
    };
}

static void run_whole(struct transformer_case *t)
{
    mega_run *r = t->run;
    mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    struct mega_transformer_inputs in = { .ids = golden_input(t->c, r, "tokens", false),
        .context = golden_input(t->c, r, "context", false) };
    struct mega_rows rows = rows_of(t, in.ids, "mask"), context;
    if (in.context) {
        context = rows_of(t, in.context, "context_mask");
        in.context_rows = &context;
    }
    mega_tensor *x = mega_transformer_features_of(r, &t->model, &in, &rows, NULL);
    golden_backward(t->c, r, x ? mega_transformer_head_run(r, &t->model.head, x) : NULL, false);
    if (golden_check(t->c, mega_run_end(r))) transformer_case_gradients(t);
}

/* one token a pass */
static void run_stream(struct transformer_case *t, mega_stream *s, int64_t B, int64_t T)
{
    int64_t V = t->options.vocabulary;
    double *got = calloc((size_t)(B * T * V), sizeof *got);
    for (int64_t at = 0; at < T && !t->c->verdict; at++) {
        mega_run_begin(t->run, &(struct mega_run_args){ .stream = s });
        mega_tensor *all = golden_input(t->c, t->run, "tokens", false),
                    *ids = mega_run_tensor(t->run, MEGA_I32, 2, (int64_t[]){ B, 1 });
        for (int64_t b = 0; all && ids && b < B; b++) mega_put(ids, b, 0, mega_get(all, b, at));
        struct mega_rows rows = { .B = B, .T = 1 };
        mega_tensor *y =
            mega_transformer_run(t->run, &t->model, ids, mega_run_rows(t->run, &rows));
        for (int64_t i = 0; y && i < B * V; i++)
            got[(i / V * T + at) * V + i % V] = mega_get(y, i / V, i % V);
        golden_check(t->c, mega_run_end(t->run));
    }
    golden_compare_numbers(t->c, "out.logits_incremental", got, B * T * V);
    free(got);
}

void golden_transformer(struct golden_case *c)
{
    struct transformer_case t = { .c = c };
    if (begin(&t)) run_whole(&t);
    end(&t);
}

void golden_transformer_cache(struct golden_case *c)
{
    struct transformer_case t = { .c = c };
    mega_stream *s = NULL;
    if (begin(&t)) {
        run_whole(&t);
        const struct mega_st_tensor *ids = golden_find(c, "in.tokens");
        int64_t B = ids->dim[0], T = ids->dim[1];
        if (!c->verdict && golden_check(c, mega_stream_new(&s, &t.store, B, 1, T)))
            run_stream(&t, s, B, T);
    }
    mega_stream_free(s);
    end(&t);
}
