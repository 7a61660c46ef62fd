#include "cli/dry_run.h"

#include <stdio.h>

#include "cli/command.h"
#include "task/feed.h"
#include "train/recipe.h"

/* bytes of a step's values and gradients, by running one dry */
static mega_status measure(const mega_model *m, int64_t rows, size_t *bytes)
{
    mega_context *c;
    mega_run *r = NULL;
    MEGA_TRY(mega_context_new(&c, NULL));
    mega_status status = mega_run_new(&r, c);
    if (!status)
        status = mega_run_begin(r,
            &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD | MEGA_RUN_DRY });
    if (!status) {
        int64_t T = m->config.encoder.longest;
        struct mega_batch b = { .n = rows };
        b.rows[0] = b.rows[1] = (struct mega_rows){ .B = rows, .T = T };
        b.text[0] = b.text[1] = mega_tensor_over(NULL, MEGA_I32, 2, (int64_t[]){ rows, T });
        b.target = mega_tensor_over(NULL, MEGA_I32, 1, &rows);
        mega_tensor *logits;
        mega_run_seed(r, mega_classify_loss(r, m, &b, &logits), 1);
        mega_run_backward(r);
        *bytes = mega_run_peak(r);
        status = mega_run_end(r);
    }
    mega_run_free(r);
    mega_context_free(c);
    return status;
}

static void print_parameters(const mega_model *m)
{
    printf("\nparameters:\n");
    for (const struct mega_param *p = m->store.first; p; p = p->next) {
        char shape[96];
        printf("  %-60s %-20s %12lld\n", p->name, mega_tensor_print(&p->value, shape),
            (long long)p->count);
    }
    printf("  %-60s %-20s %12lld\n", "in all", "", (long long)m->store.numbers);
}

static mega_status show(struct mega_recipe *r)
{
    struct mega_classify *task = NULL;
    mega_model *m = NULL;
    struct mega_text text = { 0 };
    size_t bytes = 0;
    int64_t updates = 0;
    mega_status status = mega_classify_open(&task, &r->task, &r->model);
    struct mega_feed_batching batching = { (uint64_t)r->seed, r->train.batch, r->train.tokens,
        r->train.accumulate, r->train.bucket };
    if (!status) status = mega_feed_count(task, &batching, 0, &updates);
    if (!status)
        status = mega_schedule_resolve(
            &r->schedule, r->schedule.steps ? r->schedule.steps : updates * r->train.epochs);
    if (!status) status = mega_model_new(&m, &r->model, false, false);
    if (!status) status = measure(m, r->train.batch, &bytes);
    if (!status) {
        mega_recipe_print(r, &text);
        fputs(text.failed ? "" : text.data, stdout);
        print_parameters(m);
        printf("\nrows: %lld to train on; an epoch has %lld updates\n",
            (long long)mega_classify_examples(task, MEGA_SPLIT_TRAIN)->n, (long long)updates);
        printf("memory: %zu MiB for weights, gradients and moments; %zu MiB for a pass of %lld "
               "texts of %lld places\n",
            (size_t)m->store.count * 16 >> 20, bytes >> 20, (long long)r->train.batch,
            (long long)r->model.encoder.longest);
    }
    mega_text_done(&text);
    mega_model_free(m);
    mega_classify_close(task);
    return status;
}

int mega_dry_run(const char *recipe, const struct mega_texts *set)
{
    struct mega_recipe r;
    mega_status status = mega_recipe_load(&r, recipe, set);
    if (status) return mega_command_fail(status);
    status = show(&r);
    mega_recipe_done(&r);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}
