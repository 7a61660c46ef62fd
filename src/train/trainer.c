#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "graph/precision.h"
#include "kernel/peak.h"
#include "task/feed.h"
#include "train/bad_step.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/head_training.h"
#include "train/manifest.h"
#include "train/memory.h"
#include "train/reference.h"
#include "train/resume.h"
#include "train/stop.h"
#include "train/update.h"

struct trainer {
    const struct mega_train_request *q;
    struct mega_recipe recipe;
    struct mega_run_folder folder;
    struct mega_job *task;
    mega_model *model;
    mega_run *run;
    struct mega_optimizer optimizer;
    struct mega_head_training heads;
    struct mega_progress progress;
    struct mega_sinks sinks;
    struct mega_feed *feed;
    struct mega_text config; /* config.json */
    int64_t last_update;     /* the run ends there at the latest */
    double started_s, peak_gflops;
    bool warm;       /* an update was made since the program began */
    double window_s; /* since the last line on the screen */
    int64_t window_tokens;
    double window_flops;
};

static struct mega_training_state state_of(struct trainer *t)
{
    return (struct mega_training_state){ &t->progress, t->optimizer.span, t->optimizer.n_spans,
        t->task };
}

static bool better(const struct trainer *t, double value, double best)
{
    if (t->progress.best_step < 0) return true;
    return t->recipe.train.metric == MEGA_METRIC_LOSS ? value < best : value > best;
}

/* ---- setting up ---- */

static struct mega_feed_batching batching_of(const struct trainer *t)
{
    const struct mega_train_options *o = &t->recipe.train;
    return (struct mega_feed_batching){ (uint64_t)t->recipe.seed, o->batch, o->tokens,
        o->accumulate, o->bucket, false };
}

static mega_status open_data(struct trainer *t)
{
    MEGA_TRY(mega_job_open(&t->task, &t->recipe.task, &t->recipe.model, &t->q->context->log));
    MEGA_TRY(mega_job_load(t->task, MEGA_SPLIT_VALID));
    /* schedules need to know where the run ends */
    struct mega_feed_batching batching = batching_of(t);
    t->last_update = t->recipe.schedule.steps;
    for (int64_t e = 0, n; !t->recipe.schedule.steps && e < t->recipe.train.epochs; e++) {
        MEGA_TRY(mega_feed_count(t->task, &batching, e, &n));
        t->last_update += n;
    }
    return mega_schedule_resolve(&t->recipe.schedule, t->last_update);
}

static mega_status open_model(struct trainer *t)
{
    MEGA_TRY(mega_model_new(&t->model, &t->recipe.model, true, true));
    mega_store_fill(&t->model->store, (uint64_t)t->recipe.seed);
    MEGA_TRY(mega_run_new(&t->run, t->q->context));
    mega_run_set_dtype(t->run, mega_precision_type(t->recipe.train.precision));
    MEGA_TRY(
        mega_optimizer_init(&t->optimizer, &t->q->context->work, t->model, &t->recipe.adam));
    t->optimizer.profile = t->q->profile;
    return mega_job_config(t->task, t->model, &t->config);
}

/* a fresh run writes down what it is before the first update */
static mega_status begin_fresh(struct trainer *t)
{
    char path[1280];
    struct mega_text full = { 0 }, given = { 0 };
    MEGA_TRY(mega_run_folder_create(&t->folder, t->q->run, t->q->resume));
    mega_recipe_print(&t->recipe, &full);
    mega_status status = full.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for the recipe")
                                     : mega_file_read(t->q->recipe, &given);
    if (!status)
        status = mega_file_write(
            mega_run_folder_path(&t->folder, path, "recipe.yaml"), given.data, given.size);
    if (!status)
        status = mega_manifest_write(&t->folder, t->q->context, &t->recipe, t->task, "");
    if (!status)
        status = mega_file_write(
            mega_run_folder_path(&t->folder, path, "recipe.full.yaml"), full.data, full.size);
    mega_text_done(&full);
    mega_text_done(&given);
    t->progress = (struct mega_progress){ .best_step = -1 };
    return status ? status : mega_sinks_open(&t->sinks, &t->folder, -1, false, &t->q->screen);
}

/* the newest checkpoint that is whole, or -1 */
static mega_status newest(struct trainer *t, int64_t *step)
{
    int64_t *steps;
    int n;
    MEGA_TRY(mega_run_folder_steps(&t->folder, &steps, &n));
    *step = n ? steps[n - 1] : -1;
    free(steps);
    return MEGA_OK;
}

static mega_status compare_recipes(
    struct trainer *t, struct mega_text *fresh, struct mega_text *changes)
{
    char path[1280];
    struct mega_text old = { 0 };
    mega_recipe_print(&t->recipe, fresh);
    mega_status status =
        fresh->failed
            ? mega_fail(MEGA_NO_MEMORY, "no memory for the recipe")
            : mega_file_read(mega_run_folder_path(&t->folder, path, "recipe.full.yaml"), &old);
    if (!status)
        status = mega_resume_compare(
            path, &old, fresh, t->q->force, t->q->screen.line, t->q->screen.arg, changes);
    mega_text_done(&old);
    return status;
}

/* What belongs to the checkpoint of the present step beside its folder. */
static mega_status settle(struct trainer *t)
{
    const struct mega_progress *p = &t->progress;
    char step[1280], path[1280];
    mega_run_folder_path(&t->folder, step, "step-%06lld", (long long)p->step);
    mega_run_folder_path(
        &t->folder, path, "step-%06lld/reference.safetensors", (long long)p->step);
    if (!mega_path_exists(path)) MEGA_TRY(mega_reference_store(t->run, t->model, step));
    if (mega_run_folder_link(&t->folder, "latest") != p->step)
        MEGA_TRY(mega_run_folder_point(&t->folder, "latest", p->step));
    mega_run_folder_path(&t->folder, path, "step-%06lld", (long long)p->best_step);
    if (p->best_step >= 0 && mega_path_exists(path) &&
        mega_run_folder_link(&t->folder, "best") != p->best_step)
        MEGA_TRY(mega_run_folder_point(&t->folder, "best", p->best_step));
    return mega_run_folder_retain(&t->folder, t->recipe.train.keep);
}

static mega_status begin_again(struct trainer *t)
{
    char path[1280];
    struct mega_text fresh = { 0 }, changes = { 0 };
    int64_t step;
    MEGA_TRY(mega_run_folder_open(&t->folder, t->q->run));
    mega_status status = compare_recipes(t, &fresh, &changes);
    if (!status)
        status = mega_manifest_check(
            &t->folder, t->task, t->q->force, t->q->screen.line, t->q->screen.arg);
    if (!status) status = newest(t, &step);
    t->progress = (struct mega_progress){ .best_step = -1 };
    struct mega_training_state state = state_of(t);
    if (!status && step >= 0) {
        status = mega_checkpoint_load(&t->folder, step, t->model, &state);
        /* a kill may have come right after the checkpoint was whole */
        if (!status) status = settle(t);
    }
    if (!status)
        status = mega_sinks_open(
            &t->sinks, &t->folder, t->progress.step, t->progress.due != 0, &t->q->screen);
    /* an obeyed change is written down: the full recipe shows the new value, the manifest both
     */
    if (!status && changes.size) {
        status = mega_file_write(
            mega_run_folder_path(&t->folder, path, "recipe.full.yaml"), fresh.data, fresh.size);
        if (!status)
            status = mega_manifest_write(
                &t->folder, t->q->context, &t->recipe, t->task, changes.data);
    }
    if (!status)
        mega_sinks_line(&t->sinks, "resumed %s at update %lld", t->folder.path,
            (long long)t->progress.step);
    mega_text_done(&fresh);
    mega_text_done(&changes);
    return status;
}

/* ---- one update ---- */

struct update_result {
    struct mega_head_state heads;
    double loss, norm, lr;
    struct mega_update plan;
};

static double units_of(const struct trainer *t, const struct mega_update *u)
{
    return (double)(t->recipe.train.average == MEGA_AVERAGE_TOKENS ? u->tokens : u->rows);
}

static mega_status run_passes(struct trainer *t, struct update_result *result)
{
    struct mega_now now = { (uint64_t)t->recipe.seed, t->progress.step };
    double units = 1, sum = 0;
    int64_t row = 0;
    result->plan.passes = 1;
    mega_head_training_prepare(&t->heads, &t->progress);
    for (int64_t k = 0; k < result->plan.passes; k++) {
        struct mega_batch *b;
        double loss;
        double start = mega_profile_start(t->q->profile);
        MEGA_TRY(mega_feed_next(t->feed, &b));
        mega_profile_stage(t->q->profile, "waiting for data", 0, start);
        if (k == 0) {
            result->plan = mega_feed_update(t->feed);
            units = units_of(t, &result->plan);
        }
        b->smoothing = t->recipe.train.label_smoothing;
        MEGA_TRY(mega_pass_run(t->run, t->model, b, now, units, row, 0, &loss));
        if (!isfinite(loss))
            return mega_bad_step_record(
                &t->folder, t->run, t->model, t->config.data, b, now, units, row, "loss", loss);
        sum += loss;
        row += b->n;

        t->window_flops += mega_pass_flops(t->run);
        if (k + 1 < result->plan.passes) continue;
        MEGA_TRY(mega_head_training_penalise(&t->heads, t->run, &t->progress, &result->heads));
        MEGA_TRY(mega_optimizer_norm(&t->optimizer, &result->norm));
        if (!isfinite(result->norm))
            return mega_bad_step_record(&t->folder, t->run, t->model, t->config.data, b, now,
                units, row - b->n, "gradient norm", result->norm);
    }
    result->loss = sum / units;
    return MEGA_OK;
}

static void add_speed(
    struct trainer *t, struct mega_record *r, double seconds, const struct update_result *u)
{
    mega_record_add(r, "rows", (double)u->plan.rows);
    mega_record_add(r, "tokens", (double)u->plan.tokens);
    mega_record_add(r, "seconds", seconds);
    mega_record_add(r, "tokens_per_s", seconds > 0 ? (double)u->plan.tokens / seconds : 0);
    t->window_s += seconds;
    t->window_tokens += u->plan.tokens;
}

/* "1:02:33" */
static void print_time(double seconds, char out[32])
{
    long s = (long)seconds;
    if (s >= 3600)
        snprintf(out, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 32, "%ld:%02ld", s / 60, s % 60);
}

/* the state of things on the screen, from time to time */
static void show(struct trainer *t, const struct update_result *u)
{
    int64_t step = t->progress.step, last = t->last_update;
    if (step % t->recipe.train.log_every || t->window_s <= 0) return;
    char of[32] = "", left[32] = "", share[32] = "", heads[64] = "";
    if (last) {
        snprintf(of, sizeof of, "/%lld", (long long)last);
        print_time(
            t->window_s / (double)t->recipe.train.log_every * (double)(last - step), left);
    }
    bool half = mega_precision_type(t->recipe.train.precision) == MEGA_BF16;
    if (t->peak_gflops > 0)
        snprintf(share, sizeof share, "  %.0f%% of the %speak",
            100 * t->window_flops / t->window_s * 1e-9 / t->peak_gflops,
            half ? "float32 " : "");
    mega_head_training_line(&t->heads, &u->heads, heads);
    mega_sinks_status(&t->sinks,
        "update %lld%s  epoch %lld  loss %.4f  norm %.3f  lr %.3g%s  %.0f tokens/s%s  %zu "
        "MiB%s%s",
        (long long)step, of, (long long)t->progress.epoch + 1, u->loss, u->norm, u->lr, heads,
        (double)t->window_tokens / t->window_s, share,
        (mega_run_peak(t->run) + t->model->store.keep.used) >> 20, *left ? "  left " : "",
        left);
    t->window_s = t->window_flops = 0;
    t->window_tokens = 0;
}

static mega_status update(struct trainer *t)
{
    double start = mega_clock_s();
    struct mega_progress *p = &t->progress;
    struct update_result u = { 0 };
    u.lr = mega_schedule_rate(&t->recipe.schedule, p->step) *
           mega_plateau_factor(&p->plateau, &t->recipe.schedule);
    MEGA_TRY(run_passes(t, &u));
    mega_optimizer_step(&t->optimizer, u.lr, u.norm);
    struct mega_record record = {
        .kind = MEGA_RECORD_TRAIN, .step = ++p->step, .epoch = p->epoch
    };
    mega_record_add(&record, "loss", u.loss);
    mega_record_add(&record, "grad_norm", u.norm);
    mega_record_add(&record, "lr", u.lr);
    mega_head_training_record(&t->heads, &u.heads, &record);
    add_speed(t, &record, mega_clock_s() - start, &u);
    MEGA_TRY(mega_sinks_write(&t->sinks, &record));
    show(t, &u);
    if (mega_head_training_finish(&t->heads, t->model, &t->optimizer, p->step)) {
        mega_sinks_line(&t->sinks,
            "update %lld  gates are rounded and stay so; the best counts from here",
            (long long)p->step);
        p->best_step = -1;
        p->waited = 0;
    }
    p->position++;
    if (u.plan.last) {
        p->epoch++;
        p->position = 0;
    }
    return MEGA_OK;
}

/* the same, timed where a profile is wanted */
static mega_status timed_update(struct trainer *t)
{
    struct mega_profile *p = t->q->profile;
    double start = mega_profile_start(p);
    mega_run_profile(t->run, p);
    mega_status status = update(t);
    mega_run_profile(t->run, NULL);
    mega_profile_step(p, start);
    if (!t->warm) mega_profile_forget(p);
    t->warm = true;
    return status;
}

/* ---- validation ---- */

/* "accuracy" and the confusion of a classifier, perplexity and bits a byte of a language model,
 * accuracy of a masked one;
 * `line` gets the same for people, `extra` what is more than a number */
static void describe_tally(const struct mega_tally *tally, struct mega_record *record,
    struct mega_text *line, struct mega_text *extra)
{
    mega_record_add(record, "loss", mega_tally_loss(tally));
    mega_text_add(line, "loss %.4f", mega_tally_loss(tally));
    if (tally->architecture == MEGA_LANGUAGE_MODEL) {
        mega_record_add(record, "perplexity", mega_tally_perplexity(tally));
        mega_text_add(line, "  perplexity %.3f", mega_tally_perplexity(tally));
        if (tally->bytes) {
            mega_record_add(record, "bits_per_byte", mega_tally_bits(tally));
            mega_text_add(line, "  %.4f bits a byte", mega_tally_bits(tally));
        }
        mega_record_add(record, "tokens", (double)tally->tokens);
        mega_text_add(line, "  (%lld tokens", (long long)tally->tokens);
        return;
    }
    mega_record_add(record, "accuracy", mega_tally_accuracy(tally));
    if (tally->architecture == MEGA_MASKED_MODEL) {
        mega_record_add(record, "tokens", (double)tally->tokens);
        mega_text_add(line, "  accuracy %.2f%%  (%lld masked tokens",
            100 * mega_tally_accuracy(tally), (long long)tally->tokens);
        return;
    }
    mega_record_add(record, "rows", (double)tally->rows);
    mega_text_add(line, "  accuracy %.2f%%  (%lld rows", 100 * mega_tally_accuracy(tally),
        (long long)tally->rows);
    mega_text_add(extra, "\"confusion\": [");
    for (int64_t i = 0; i < tally->classes; i++) {
        mega_text_add(extra, "%s[", i ? ", " : "");
        for (int64_t j = 0; j < tally->classes; j++)
            mega_text_add(extra, "%s%lld", j ? ", " : "",
                (long long)tally->confusion[i * tally->classes + j]);
        mega_text_add(extra, "]");
    }
    mega_text_add(extra, "]");
}

/* whether this validation is the best so far, and what follows for schedule and patience */
static bool judge(struct trainer *t, const struct mega_tally *tally)
{
    struct mega_progress *p = &t->progress;
    bool by_loss = t->recipe.train.metric == MEGA_METRIC_LOSS;
    double value = by_loss ? mega_tally_loss(tally) : mega_tally_accuracy(tally);
    bool best = better(t, value, p->best);
    if (best) {
        p->best = value;
        p->best_step = p->step;
    }
    p->waited = best ? 0 : p->waited + 1;
    p->due = 0;
    mega_plateau_see(&p->plateau, &t->recipe.schedule, p->step, value, !by_loss);
    return best;
}

static mega_status note_validation(
    struct trainer *t, const struct mega_tally *tally, double seconds)
{
    struct mega_progress *p = &t->progress;
    bool best = judge(t, tally);
    struct mega_text extra = { 0 }, line = { 0 };
    struct mega_record record = {
        .kind = MEGA_RECORD_VALID, .step = p->step, .epoch = p->epoch, .split = "valid"
    };
    describe_tally(tally, &record, &line, &extra);
    mega_head_training_print(&t->heads, &extra);
    record.extra = extra.data;
    mega_status status = extra.failed || line.failed
                             ? mega_fail(MEGA_NO_MEMORY, "no memory for a validation record")
                             : mega_sinks_write(&t->sinks, &record);
    if (!status)
        mega_sinks_line(&t->sinks, "update %lld  valid: %s, %.1f s)%s", (long long)p->step,
            line.data, seconds, best ? "  best" : "");
    mega_text_done(&extra);
    mega_text_done(&line);
    return status;
}

static mega_status validate(struct trainer *t)
{
    struct mega_tally tally;
    double start = mega_clock_s();
    t->progress.due = 1;
    mega_status status = mega_evaluate(t->run, t->model, t->task, MEGA_SPLIT_VALID,
        t->recipe.train.valid_batch, 0, true, &tally);
    if (!status) status = note_validation(t, &tally, mega_clock_s() - start);
    mega_tally_done(&tally);
    return status;
}

static mega_status save(struct trainer *t)
{
    struct mega_training_state state = state_of(t);
    MEGA_TRY(mega_checkpoint_save(&t->folder, t->model, t->config.data, &state));
    return settle(t);
}

/* ---- the loop ---- */

static bool ended(const struct trainer *t)
{
    const struct mega_train_options *o = &t->recipe.train;
    const struct mega_progress *p = &t->progress;
    return (t->recipe.schedule.steps && p->step >= t->recipe.schedule.steps) ||
           (o->epochs && p->epoch >= o->epochs) || (o->patience && p->waited >= o->patience);
}

static bool every(int64_t interval, const struct mega_progress *p)
{
    return interval ? p->step % interval == 0 : p->position == 0;
}

/* why the run is to leave now, or NULL */
static const char *asked_to_stop(const struct trainer *t)
{
    int signal = mega_stop_signal();
    if (signal) return mega_stop_name(signal);
    if (t->q->stop_after && t->progress.step >= t->q->stop_after) return "--stop-after";
    double limit = t->recipe.train.time_limit;
    return limit > 0 && mega_clock_s() - t->started_s >= limit * 3600 ? "train.time_limit"
                                                                      : NULL;
}

static mega_status leave(struct trainer *t, const char *why)
{
    MEGA_TRY(save(t));
    return mega_fail(MEGA_STOPPED,
        "stopped by %s after update %lld, saved in %s; to go on: %s train --run %s --resume "
        "auto",
        why, (long long)t->progress.step, t->folder.path, t->q->program, t->folder.path);
}

/* validation and checkpoint as they are due after an update */
static mega_status after_update(struct trainer *t)
{
    const struct mega_train_options *o = &t->recipe.train;
    bool end = ended(t),
         check = t->progress.due || every(o->validate_every, &t->progress) || end;
    if (check) {
        mega_status status = validate(t);
        if (status == MEGA_STOPPED) return leave(t, mega_stop_name(mega_stop_signal()));
        if (status) return status;
    }
    bool new_best = check && t->progress.best_step == t->progress.step;
    if (new_best || end || ended(t) ||
        (o->save_every ? every(o->save_every, &t->progress) : check))
        MEGA_TRY(save(t));
    return MEGA_OK;
}

static mega_status loop(struct trainer *t)
{
    if (t->progress.due) MEGA_TRY(after_update(t));
    struct mega_feed_batching batching = batching_of(t);
    MEGA_TRY(mega_feed_open_training(
        &t->feed, t->task, &batching, t->progress.epoch, t->progress.position));
    while (!ended(t)) {
        const char *why = asked_to_stop(t);
        if (why) return leave(t, why);
        MEGA_TRY(timed_update(t));
        MEGA_TRY(after_update(t));
    }
    return MEGA_OK;
}

static void conclude(struct trainer *t)
{
    char took[32];
    print_time(mega_clock_s() - t->started_s, took);
    mega_sinks_line(&t->sinks,
        "done: %lld updates in %s, %zu MiB; best %s %.4f at update %lld; parameters %016llx",
        (long long)t->progress.step, took, mega_memory_peak() >> 20,
        t->recipe.train.metric == MEGA_METRIC_LOSS ? "loss" : "accuracy", t->progress.best,
        (long long)t->progress.best_step,
        (unsigned long long)mega_store_hash(&t->model->store));
}

static void measure_peak(struct trainer *t)
{
    double gflops;
    if (!mega_peak_measure_fma(&t->q->context->work, t->q->context->limits.isa, 0.05, &gflops))
        t->peak_gflops = gflops;
}

static void announce(struct trainer *t, const struct mega_memory *m)
{
    mega_sinks_line(&t->sinks,
        "%s: %lld %s to train on, %lld to validate; %lld parameters; %d threads, %s",
        mega_tasks[t->recipe.task.name]->name,
        (long long)mega_job_facts(t->task, MEGA_SPLIT_TRAIN).units,
        mega_job_facts(t->task, MEGA_SPLIT_TRAIN).unit,
        (long long)mega_job_facts(t->task, MEGA_SPLIT_VALID).units,
        (long long)t->model->store.numbers, t->q->context->work.threads,
        mega_isa_name(t->q->context->limits.isa));
    const char *note = mega_precision_note(t->recipe.train.precision, t->q->context);
    if (note) mega_sinks_line(&t->sinks, "%s", note);
    char effort[80];
    mega_memory_print_effort(m, mega_model_stack(t->model)->blocks, effort);
    if (m->total) mega_sinks_line(&t->sinks, "%s, for %zu MiB in all", effort, m->total >> 20);
}

static mega_status train(struct trainer *t)
{
    struct mega_memory memory = { 0 };
    MEGA_TRY(open_data(t));
    MEGA_TRY(open_model(t));
    if (mega_model_recompute(&t->recipe.model) == MEGA_RECOMPUTE_AUTO)
        MEGA_TRY(mega_memory_choose(&memory, t->q->context, t->model, t->task, &t->recipe));
    bool again = t->q->resume && mega_run_folder_begun(t->q->run);
    MEGA_TRY(mega_head_training_begin(
        &t->heads, &t->recipe.heads, t->model, &t->optimizer, &t->q->context->log));
    MEGA_TRY(again ? begin_again(t) : begin_fresh(t));
    mega_head_training_finish(&t->heads, t->model, &t->optimizer, t->progress.step);
    announce(t, &memory);
    measure_peak(t);
    MEGA_TRY(loop(t));
    conclude(t);
    return MEGA_OK;
}

mega_status mega_train(const struct mega_train_request *q)
{
    struct trainer t = {
        .q = q, .sinks = { .log_fd = -1, .events_fd = -1 }, .started_s = mega_clock_s()
    };
    char own[1280];
    const char *recipe = q->recipe;
    if (!recipe) {
        if (!mega_run_folder_begun(q->run))
            return mega_fail(MEGA_BAD_ARGUMENT,
                "%s holds no run to go on with: give the RECIPE of a new one", q->run);
        snprintf(own, sizeof own, "%.1100s/recipe.full.yaml", q->run);
        recipe = own;
    }
    MEGA_TRY(mega_recipe_load(&t.recipe, recipe, q->set));
    const char *doubt;
    for (int n = 0; (doubt = mega_model_config_doubt(&t.recipe.model, n)); n++)
        mega_log_line(&q->context->log, MEGA_LOG_WARN, "%s", doubt);
    mega_status status = train(&t);
    mega_feed_close(t.feed);
    mega_sinks_close(&t.sinks);
    mega_head_training_done(&t.heads);
    mega_optimizer_done(&t.optimizer);
    mega_run_free(t.run);
    mega_model_free(t.model);
    mega_job_close(t.task);
    mega_text_done(&t.config);
    mega_recipe_done(&t.recipe);
    return status;
}
