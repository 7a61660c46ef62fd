/* Whole training runs of the official code: losses, norms, rates and final parameters, update
 * by update. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/language_case.h"
#include "golden/model_case.h"
#include "golden/schedule_case.h"
#include "graph/ops.h"
#include "train/update.h"

struct training {
    struct golden_case *c;
    struct golden_model g;
    struct golden_rates rates;
    struct mega_adam adam;
    int64_t accumulate, steps, towers;
    bool numbers, language;
};

/* PyTorch's AdamW by Megalodon's names */
static void read_adamw(struct golden_case *c, struct mega_adam *a)
{
    golden_cfg_expect(c, "optimizer", "adamw");
    a->beta1 = golden_cfg_real(c, "beta1", 0);
    a->beta2 = golden_cfg_real(c, "beta2", 0);
    a->eps = golden_cfg_real(c, "epsilon", 0);
    a->eps_rule = MEGA_EPS_PYTORCH;
    a->clip_norm = golden_cfg_real(c, "clip", 0);
}

static void read_fairseq_adam(struct golden_case *c, struct mega_adam *a)
{
    golden_cfg_expect(c, "optimizer", "adam");
    const char *betas = golden_cfg(c, "adam_betas"); /* "0.9, 0.98", with or without brackets */
    char end;
    betas += strspn(betas, "([");
    int n = sscanf(betas, "%lf , %lf %c", &a->beta1, &a->beta2, &end);
    if (*betas && n != 2 && (n != 3 || !strchr(")]", end)))
        golden_unsupported(c, "cfg.adam_betas is %s", betas);
    a->eps = golden_cfg_real(c, "adam_eps", a->eps);
    a->eps_rule = MEGA_EPS_FAIRSEQ;
    a->clip_norm = golden_cfg_real(c, "clip_norm", 0);
    a->clip_mode = golden_cfg_choice(c, "clip_mode", "total|each", 0);
}

static void read_adam(struct golden_case *c, struct mega_adam *a, bool adamw)
{
    mega_option_defaults(mega_adam_options, a);
    a->weight_decay = golden_cfg_real(c, "weight_decay", 0);
    (adamw ? read_adamw : read_fairseq_adam)(c, a);
}

/* ---- mini-batches ---- */

static const char *const lengths[] = { "lengths", "lengths1" };

static const char *text_name(const struct training *t, int64_t tower)
{
    return tower ? "tokens1" : t->numbers ? "pixels" : "tokens";
}

static const struct mega_st_tensor *input(
    struct training *t, const char *name, int rank, int64_t rows)
{
    const struct mega_st_tensor *in = golden_find(t->c, "in.%s", name);
    bool fits = in && in->rank == rank && in->dim[0] >= t->steps * t->accumulate &&
                (rank < 2 || !rows || in->dim[1] == rows);
    if (!fits) golden_fail(t->c, "in.%s is missing or misshapen", name);
    return fits ? in : NULL;
}

/* Megalodon's files keep the rotary frequencies, which nothing moves */
static void compare_frequencies(struct golden_case *c)
{
    const struct mega_st_tensor *before = golden_find(c, "param.rope.freqs");
    if (!before) return;
    double *same = calloc((size_t)before->count + 1, sizeof *same);
    for (int64_t i = 0; i < before->count; i++) same[i] = golden_value(before, i);
    golden_compare_numbers(c, "final.rope.freqs", same, before->count);
    free(same);
}

/* every mini-batch is there, so that nothing need be asked later */
static bool check_inputs(struct training *t)
{
    const struct mega_st_tensor *target = input(t, "target", t->language ? 3 : 2, 0),
                                *rows = NULL;
    for (int64_t i = 0; i < t->towers && target; i++)
        if (!input(t, text_name(t, i), 3, target->dim[1]) ||
            (!t->language && !input(t, lengths[i], 2, target->dim[1])))
            return false;
    if (t->language) {
        golden_find(t->c, "in.lengths"); /* the pad symbol says the same */
        /* what official files hold twice, or need not hold */
        golden_find(t->c, "param.decoder.output_projection.weight");
        golden_find(t->c, "param.output.output.weight");
        compare_frequencies(t->c);
    }
    if (target && golden_find(t->c, "in.rows")) rows = input(t, "rows", 1, 0);
    for (int64_t k = 0; rows && k < rows->count; k++)
        if (mega_st_int(rows, k) < 0 || mega_st_int(rows, k) > target->dim[1])
            golden_fail(t->c, "in.rows: mini-batch %lld has %lld rows of %lld", (long long)k,
                (long long)mega_st_int(rows, k), (long long)target->dim[1]);
    return !t->c->verdict;
}

static int64_t rows_of(const struct training *t, int64_t k)
{
    const struct mega_st_tensor *rows = golden_find(t->c, "in.rows"),
                                *target = golden_find(t->c, "in.target");
    return rows ? mega_st_int(rows, k) : target->dim[1];
}

/* mini-batch number k: [batches, B] or [batches, B, T] in the file; its memory is yours */
static mega_tensor slice(struct training *t, const char *name, int64_t k, int64_t rows)
{
    const struct mega_st_tensor *from = golden_find(t->c, "in.%s", name);
    bool matrix = from->rank == 3, whole = from->dtype[0] == 'I';
    int64_t width = matrix ? from->dim[2] : 1, at = k * from->dim[1] * width;
    int64_t dim[] = { rows, width };
    mega_tensor out = mega_tensor_over(malloc((size_t)(rows * width + 1) * 4),
        whole ? MEGA_I32 : MEGA_F32, matrix ? 2 : 1, dim);
    for (int64_t i = 0; i < rows * width; i++)
        mega_put(&out, matrix ? i / width : 0, matrix ? i % width : i,
            whole ? (double)mega_st_int(from, at + i) : mega_st_real(from, at + i));
    return out;
}

struct batch {
    struct mega_batch b;
    mega_tensor len[2];
    int32_t *real[2];
};

/* places are real by the pad symbol, as in the official masks; lengths divide the pooled sums
 */
static int64_t pad_of(const struct training *t)
{
    const struct mega_model_config *c = &t->g.model->config;
    return t->language ? c->language.vocabulary.pad : c->task.inputs.pad;
}

/* [B, T] next tokens as one row, padding not counted; returns how many are */
static double flatten(mega_tensor *target, int64_t pad)
{
    double counted = 0;
    int32_t *id = target->data;
    int64_t n = mega_count(target);
    for (int64_t i = 0; i < n; i++) {
        if (id[i] == pad) id[i] = -1;
        counted += id[i] >= 0;
    }
    *target = mega_tensor_over(id, MEGA_I32, 1, &n);
    return counted;
}

static void open_batch(struct training *t, int64_t k, struct batch *out)
{
    int64_t rows = rows_of(t, k), pad = pad_of(t);
    *out = (struct batch){ .b = { .n = rows } };
    out->b.target = slice(t, "target", k, rows);
    if (t->language) flatten(&out->b.target, pad);
    for (int64_t i = 0; i < t->towers; i++) {
        mega_tensor *text = &out->b.text[i];
        *text = slice(t, text_name(t, i), k, rows);
        if (!t->language) out->len[i] = slice(t, lengths[i], k, rows);
        out->b.rows[i] = (struct mega_rows){ .B = rows, .T = text->dim[1] };
        if (t->numbers) continue;
        out->real[i] = malloc((size_t)(mega_count(text) + 1) * sizeof(int32_t));
        for (int64_t p = 0; p < mega_count(text); p++)
            out->real[i][p] = ((const int32_t *)text->data)[p] != pad;
        out->b.rows[i].len = out->len[i].data;
        out->b.rows[i].real = out->real[i];
    }
}

static void close_batch(struct batch *b)
{
    for (int i = 0; i < 2; i++) {
        free(b->b.text[i].data);
        free(b->len[i].data);
        free(b->real[i]);
    }
    free(b->b.target.data);
}

/* rows, or tokens that count, of mini-batch number k */
static double units_of(struct training *t, int64_t k)
{
    if (!t->language) return (double)rows_of(t, k);
    mega_tensor target = slice(t, "target", k, rows_of(t, k));
    double units = flatten(&target, pad_of(t));
    free(target.data);
    return units;
}

/* ---- updates ---- */

/* one update: returns its loss and the norm before clipping */
static bool update(
    struct training *t, struct mega_optimizer *o, int64_t step, double *loss, double *norm)
{
    double units = 0, row = 0;
    *loss = 0;
    for (int64_t k = 0; k < t->accumulate; k++) units += units_of(t, step * t->accumulate + k);
    for (int64_t k = 0; k < t->accumulate; k++) {
        struct batch b;
        double sum = 0;
        open_batch(t, step * t->accumulate + k, &b);
        mega_status status = mega_pass_run(t->g.run, t->g.model, &b.b,
            (struct mega_now){ 1, step }, units, (int64_t)row, 0, &sum);
        row += (double)b.b.n;
        *loss += sum / units;
        close_batch(&b);
        if (!golden_check(t->c, status)) return false;
    }
    if (step == 0) golden_compare_gradients(t->c, &t->g.model->store);
    return golden_check(t->c, mega_optimizer_norm(o, norm));
}

/* the loss of the first update's mini-batches under the final values */
static bool evaluate(struct training *t, double *loss)
{
    double units = 0;
    *loss = 0;
    for (int64_t k = 0; k < t->accumulate; k++) {
        struct batch b;
        float sum = 0;
        open_batch(t, k, &b);
        mega_run_begin(t->g.run, &(struct mega_run_args){ 0 });
        mega_tensor *total = mega_batch_loss(t->g.run, t->g.model, &b.b);
        if (total) mega_run_read(t->g.run, total, &sum);
        *loss += (double)sum;
        units += units_of(t, k);
        close_batch(&b);
        if (!golden_check(t->c, mega_run_end(t->g.run))) return false;
    }
    *loss /= units;
    return true;
}

/* ---- comparisons ---- */

/* per update: |got - want| <= tolerance |want| + 1e-12 */
static void compare_series(struct golden_case *c, const char *name, const double *got,
    int64_t n, const char *tolerance)
{
    const struct mega_st_tensor *t = golden_find(c, "%s", name);
    double limit = strtod(golden_meta(c, tolerance), NULL), worst = 0;
    char where[32] = "";
    if (!t || c->verdict) return;
    if (t->count != n) {
        golden_fail(
            c, "%s has %lld values, ours %lld", name, (long long)t->count, (long long)n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double want = mega_st_real(t, i),
               error = fabs(got[i] - want) / (fabs(want) + 1e-12 / limit);
        if (error <= worst) continue;
        worst = isnan(error) ? INFINITY : error;
        snprintf(where, sizeof where, " of update %lld", (long long)i);
    }
    golden_judge(c, t, worst, limit, where);
}

/* "NAME" or "NAME[row]" stands in the list of those whose gradient is noise */
static bool is_noise(const struct golden_case *c, const char *name, int64_t row)
{
    char whole[512], one[540];
    snprintf(whole, sizeof whole, "%s", name);
    snprintf(one, sizeof one, "%s[%lld]", name, (long long)row);
    const char *list = golden_meta(c, "noise");
    while (*list) {
        size_t n = strcspn(list, ", ");
        if ((strlen(whole) == n && !strncmp(list, whole, n)) ||
            (strlen(one) == n && !strncmp(list, one, n)))
            return true;
        list += n + strspn(list + n, ", ");
    }
    return false;
}

static void compare_final(struct golden_case *c, const char *name, const mega_tensor *got)
{
    const struct mega_st_tensor *t = golden_find(c, "final.%s", name);
    if (!t || t->count != mega_count(got)) {
        golden_fail(c, "final.%s is missing or misshapen", name);
        return;
    }
    double most = 0.01, worst = 0, limit = strtod(golden_meta(c, "tol_final_rel"), NULL);
    int64_t per_row = t->rank && t->dim[0] ? t->count / t->dim[0] : 1;
    for (int64_t i = 0, width = mega_width(got); i < t->count; i++) {
        double want = mega_st_real(t, i),
               off = fabs(mega_get(got, i / width, i % width) - want);
        most = fmax(most, fabs(want));
        if (!(off <= worst) && !is_noise(c, name, i / per_row))
            worst = isnan(off) ? INFINITY : off;
    }
    golden_judge(c, t, worst / most, limit, "");
}

/* a count that training leaves alone stands in the file once */
static bool moves(struct golden_case *c, const struct mega_cell *m)
{
    const struct mega_st_tensor *before = golden_find(c, "param.%s", m->name);
    return golden_find(c, "final.%s", m->name) || !before || m->dtype != MEGA_I64 ||
           mega_get(&m->value, 0, 0) != golden_value(before, 0);
}

static void compare_store(struct golden_case *c, const struct mega_store *s)
{
    for (const struct mega_param *p = s->first; p; p = p->next)
        compare_final(c, p->name, &p->value);
    for (const struct mega_cell *m = s->first_cell; m; m = m->next)
        if (m->kind == MEGA_CELL_MODEL && moves(c, m)) compare_final(c, m->name, &m->value);
}

static void run_updates(struct training *t)
{
    struct golden_case *c = t->c;
    struct mega_optimizer o;
    double *loss = calloc(3 * (size_t)t->steps + 1, sizeof *loss), *norm = loss + t->steps,
           *rate = norm + t->steps, final;
    bool fine =
        golden_check(c, mega_optimizer_init(&o, &c->context->work, t->g.model, &t->adam));
    for (int64_t s = 0; s < t->steps && fine; s++) {
        fine = update(t, &o, s, &loss[s], &norm[s]);
        rate[s] = mega_schedule_rate(&t->rates.schedule, s);
        if (fine) mega_optimizer_step(&o, rate[s], norm[s]);
    }
    if (fine && evaluate(t, &final)) {
        compare_series(c, "out.lr", rate, t->steps, "tol_lr_rel");
        compare_series(c, "out.loss", loss, t->steps, "tol_loss_rel");
        compare_series(c, "out.grad_norm", norm, t->steps, "tol_grad_norm_rel");
        compare_series(c, "out.eval_loss", &final, 1, "tol_loss_rel");
        compare_store(c, &t->g.model->store);
    }
    mega_optimizer_done(&o);
    free(loss);
}

static struct mega_model_config read_classifier(struct golden_case *c, struct training *t)
{
    golden_cfg_expect(c, "criterion", "lra_cross_entropy");
    t->numbers = golden_find(c, "in.pixels") != NULL;
    golden_cfg_expect(c, "input_type", t->numbers ? "image" : "text");
    t->towers = golden_find(c, "in.tokens1") ? 2 : 1;
    return golden_model_config(c, t->numbers, t->towers);
}

void golden_train(struct golden_case *c)
{
    struct training t = { .c = c, .towers = 1 };
    int arch = golden_cfg_choice(c, "arch", "lra|mega_lm|megalodon", 0);
    bool megalodon = arch == 2;
    t.language = arch > 0;
    if (t.language)
        golden_cfg_choice(c, "criterion", "cross_entropy|adaptive_loss|cross_entropy_mean", 0);
    t.accumulate = golden_cfg_int(c, "update_freq", 1);
    t.steps = golden_cfg_int(c, "steps", 0);
    read_adam(c, &t.adam, megalodon);
    struct mega_model_config config = megalodon    ? golden_megalodon_config(c)
                                      : t.language ? golden_language_config(c)
                                                   : read_classifier(c, &t);
    if (t.steps < 1 || t.accumulate < 1)
        golden_unsupported(c, "a run of %lld updates of %lld mini-batches", (long long)t.steps,
            (long long)t.accumulate);
    if (golden_rates_read(c, &t.rates, megalodon ? "scheduler" : "lr_scheduler", t.steps) &&
        check_inputs(&t) && golden_model_open(c, &t.g, &config))
        run_updates(&t);
    golden_model_close(&t.g);
}
