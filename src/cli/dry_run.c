#include "cli/dry_run.h"

#include <stdio.h>

#include "cli/command.h"
#include "task/feed.h"
#include "train/memory.h"

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

static void print_bytes(const char *what, size_t bytes, const char *more)
{
    printf("  %-60s %20s %8zu MiB%s\n", what, "", (bytes + (1 << 19)) >> 20, more);
}

static void print_memory(const struct mega_memory *m, int64_t layers)
{
    static const char *const passes[] = { "training", "validation" };
    char what[96];
    printf("\nmemory at most:\n");
    print_bytes("program, libraries and data", m->process, "");
    print_bytes("weights, gradients and moments", m->weights, "");
    for (int k = 0; k < 2; k++) {
        snprintf(what, sizeof what, "a pass of %s, %lld texts of %lld places", passes[k],
            (long long)m->rows[k], (long long)m->places[k]);
        print_bytes(what, m->pass[k], k ? ", in the same place" : "");
    }
    print_bytes("room of kernels and threads, about", m->scratch, "");
    print_bytes("in all", m->total, "");
    mega_memory_print_effort(m, layers, what);
    printf("  %s\n", what);
}

/* What belongs to a recipe, opened. */
struct dry {
    struct mega_recipe recipe;
    mega_context *context;
    struct mega_job *task;
    mega_model *model;
};

static mega_status open_dry(
    struct dry *d, const char *path, const struct mega_texts *set, const struct mega_open *open)
{
    MEGA_TRY(mega_recipe_load(&d->recipe, path, set));
    MEGA_TRY(mega_open_context(&d->context, open));
    MEGA_TRY(mega_job_open(&d->task, &d->recipe.task, &d->recipe.model, &d->context->log));
    MEGA_TRY(mega_job_load(d->task, MEGA_SPLIT_VALID));
    return mega_model_new(&d->model, &d->recipe.model, false, false);
}

static mega_status show(struct dry *d)
{
    struct mega_recipe *r = &d->recipe;
    struct mega_text text = { 0 };
    struct mega_memory memory;
    int64_t updates;
    bool choose = mega_model_recompute(&r->model) == MEGA_RECOMPUTE_AUTO;
    struct mega_feed_batching batching = { (uint64_t)r->seed, r->train.batch, r->train.tokens,
        r->train.accumulate, r->train.bucket, false };
    MEGA_TRY(mega_feed_count(d->task, &batching, 0, &updates));
    MEGA_TRY(mega_schedule_resolve(
        &r->schedule, r->schedule.steps ? r->schedule.steps : updates * r->train.epochs));
    MEGA_TRY((choose ? mega_memory_choose : mega_memory_predict)(
        &memory, d->context, d->model, d->task, r));
    mega_recipe_print(r, &text);
    fputs(text.failed ? "" : text.data, stdout);
    mega_text_done(&text);
    print_parameters(d->model);
    printf("\n%s: %lld to train on, %lld to validate; an epoch has %lld updates\n",
        mega_job_facts(d->task, MEGA_SPLIT_TRAIN).unit,
        (long long)mega_job_facts(d->task, MEGA_SPLIT_TRAIN).units,
        (long long)mega_job_facts(d->task, MEGA_SPLIT_VALID).units, (long long)updates);
    print_memory(&memory, mega_model_stack(d->model)->blocks);
    return MEGA_OK;
}

int mega_dry_run(const char *recipe, const struct mega_texts *set, const struct mega_open *open)
{
    struct dry d = { 0 };
    mega_status status = open_dry(&d, recipe, set, open);
    if (!status) status = show(&d);
    mega_model_free(d.model);
    mega_job_close(d.task);
    mega_context_free(d.context);
    mega_recipe_done(&d.recipe);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}
