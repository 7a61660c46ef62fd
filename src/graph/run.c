#include "graph/run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "graph/run_state.h"

#define STEP_RESERVE ((size_t)1 << 42)

mega_status mega_run_new(mega_run **out, mega_context *c)
{
    *out = NULL;
    mega_run *r = calloc(1, sizeof *r);
    struct memo_entry *memo = calloc(MEMO_SIZE, sizeof *memo);
    if (!r || !memo) {
        free(r);
        free(memo);
        return mega_fail(MEGA_NO_MEMORY, "no memory for a run");
    }
    r->context = c;
    r->memo = memo;
    mega_status status = mega_arena_init(&r->values, STEP_RESERVE);
    if (!status) status = mega_arena_init(&r->passing, STEP_RESERVE);
    if (!status) status = mega_arena_init(&r->gradients, STEP_RESERVE);
    if (status) {
        mega_run_free(r);
        return status;
    }
    *out = r;
    return MEGA_OK;
}

static void forget_memo(mega_run *r)
{
    for (int i = 0; i < MEMO_SIZE; i++)
        if (r->memo[i].prepared && r->memo[i].kernel->forget)
            r->memo[i].kernel->forget(r->memo[i].prepared);
    memset(r->memo, 0, MEMO_SIZE * sizeof *r->memo);
    r->memo_used = 0;
}

void mega_run_free(mega_run *r)
{
    if (!r) return;
    forget_memo(r);
    free(r->memo);
    mega_arena_done(&r->values);
    mega_arena_done(&r->passing);
    mega_arena_done(&r->gradients);
    free(r);
}

mega_dtype mega_run_set_dtype(mega_run *r, mega_dtype dtype)
{
    mega_dtype before = r->dtype;
    r->dtype = dtype;
    return before;
}

mega_status mega_run_begin(mega_run *r, const struct mega_run_args *args)
{
    if (r->memo_used > MEMO_SIZE / 4 * 3) forget_memo(r);
    mega_arena_release(&r->values, 0);
    mega_arena_release(&r->passing, 0);
    mega_arena_release(&r->gradients, 0);
    r->args = *args;
    if (args->dtype == MEGA_F32) r->args.dtype = r->dtype;
    r->status = MEGA_OK;
    r->message[0] = 0;
    r->last = NULL;
    r->recording = args->mode & MEGA_RUN_GRAD;
    r->replaying = r->passes = false;
    r->path[0] = 0;
    r->path_hash = 0;
    r->n_chains = r->n_more = 0;
    r->flops = 0;
    r->depth = 0;
    r->spare.n = r->carried.n = 0;
    r->waiting = r->sweeps = NULL;
    r->in_block = r->leaves_padding = false;
    r->has_rows = false;
    run_drop_cells(r);
    return MEGA_OK;
}

mega_status mega_run_end(mega_run *r)
{
    sweep_run(r, NULL, 0);
    if (r->status) {
        run_drop_cells(r);
        return mega_fail(r->status, "%s", r->message);
    }
    mega_run_turn(r);
    return r->status ? mega_fail(r->status, "%s", r->message) : MEGA_OK;
}

mega_status mega_run_status(const mega_run *r)
{
    return r->status;
}

void mega_run_fail(mega_run *r, mega_status status)
{
    if (r->status) return;
    r->status = status;
    snprintf(r->message, sizeof r->message, "%s%s%s", r->path, r->path[0] ? ": " : "",
        mega_message());
}

mega_dtype mega_run_dtype(const mega_run *r)
{
    return r->args.dtype;
}

unsigned mega_run_mode(const mega_run *r)
{
    return r->args.mode;
}

struct mega_now mega_run_now(const mega_run *r)
{
    return r->args.now;
}

size_t mega_run_peak(const mega_run *r)
{
    return r->values.peak + r->passing.peak + r->gradients.peak;
}

size_t mega_run_scratch(const mega_run *r)
{
    return r->scratch;
}

static void *get_memory(mega_run *r, struct mega_arena *from, size_t bytes)
{
    if (r->status) return NULL;
    void *p = mega_arena_get(from, bytes);
    if (!p)
        mega_run_fail(
            r, mega_fail(MEGA_NO_MEMORY, "no memory for %zu bytes of activations", bytes));
    return p;
}

void *mega_run_memory(mega_run *r, size_t bytes)
{
    return get_memory(r, &r->values, bytes);
}

/* a tensor as described, with memory for its numbers */
static mega_tensor *make(mega_run *r, const mega_tensor *description, struct mega_arena *from)
{
    mega_tensor *t = mega_run_memory(r, sizeof *t);
    if (!t) return NULL;
    *t = *description;
    if (!t->device) t->device = &mega_cpu;
    /* a dry run takes the address space, so that the peak is known, and touches nothing */
    t->passing = from == &r->passing;
    void *data = get_memory(r, from, mega_size(t));
    if (!(r->args.mode & MEGA_RUN_DRY)) t->data = data;
    return data ? t : NULL;
}

mega_tensor *mega_run_tensor(mega_run *r, mega_dtype dtype, int rank, const int64_t dim[])
{
    mega_tensor t = mega_tensor_over(NULL, dtype, rank, dim);
    return make(r, &t, &r->values);
}

mega_tensor *mega_run_input(mega_run *r, const mega_tensor *t)
{
    mega_tensor *input = mega_run_memory(r, sizeof *input);
    if (input) *input = *t;
    return input;
}

/* x from its number `at` on, of which the caller takes n parts of `all`, from `from` on */
static mega_tensor *view(mega_run *r, mega_tensor *x, const char *what, int64_t from, int64_t n,
    int64_t all, int64_t at)
{
    char shape[96];
    if (r->status) return NULL;
    if (!x || from < 0 || n < 0 || from + n > all) {
        mega_run_fail(r, mega_fail(MEGA_INTERNAL, "%s %lld ... %lld of %s", what,
                             (long long)from, (long long)(from + n - 1),
                             x ? mega_tensor_print(x, shape) : "a missing tensor"));
        return NULL;
    }
    mega_tensor *t = mega_run_input(r, x);
    if (!t) return NULL;
    t->base = x->base ? x->base : x;
    t->offset = x->offset + at;
    t->grad = NULL;
    t->param = NULL;
    if (x->data) t->data = (char *)x->data + (size_t)at * mega_dtype_size(x->dtype);
    return t;
}

mega_tensor *mega_run_columns(mega_run *r, mega_tensor *x, int64_t from, int64_t n)
{
    mega_tensor *t = view(r, x, "columns", from, n, x ? mega_width(x) : 0, from);
    if (t) t->dim[t->rank - 1] = n;
    return t;
}

mega_tensor *mega_run_part(mega_run *r, mega_tensor *x, int64_t from, int64_t n)
{
    int64_t all = x ? x->dim[0] : 0,
            step = x && x->rank > 1 && all ? mega_height(x) / all * x->stride : 1;
    mega_tensor *t = view(r, x, "parts", from, n, all, from * step);
    if (!t) return NULL;
    t->dim[0] = n;
    if (t->rank == 1) t->stride = n;
    return t;
}

/* ---- calling an op ---- */

static uint64_t hash_tensor(uint64_t h, const mega_tensor *t)
{
    if (!t) return mega_hash_join(h, 1);
    h = mega_hash_join(h, (uint64_t)t->dtype << 8 | (uint64_t)t->rank);
    for (int i = 0; i < t->rank; i++) h = mega_hash_join(h, (uint64_t)t->dim[i]);
    return mega_hash_join(h, (uint64_t)t->stride);
}

static uint64_t hash_rows(uint64_t h, const struct mega_rows *rows)
{
    if (!rows) return h;
    int has = (rows->len != NULL) + 2 * (rows->real != NULL) + 4 * (rows->doc != NULL) +
              8 * (rows->place != NULL);
    return mega_hash_join(h, (uint64_t)has);
}

static uint64_t memo_key(const struct mega_call *c)
{
    uint64_t h = mega_hash_join((uint64_t)(uintptr_t)c->op, c->mode | (uint64_t)c->dtype << 32);
    if (c->op->attr_size) h = mega_hash_join(h, mega_hash(c->attr, c->op->attr_size));
    for (int i = 0; i < c->op->n_in; i++) h = hash_tensor(h, c->in[i]);
    h = hash_rows(hash_rows(h, c->rows), c->keys);
    return h ? h : 1;
}

static void log_choice(mega_run *r, const struct mega_call *c, const struct mega_text *refusals)
{
    char shape[96];
    mega_log_line(&r->context->log, MEGA_LOG_DISPATCH, "%s %s: %s%s%s", c->op->name,
        mega_tensor_print(c->in[0], shape), c->kernel ? c->kernel->name : "its chain",
        refusals->size ? "; refused: " : "", refusals->size ? refusals->data : "");
}

/* sets c->kernel and c->prepared, from the memo where these shapes have been seen */
static void choose_kernel(mega_run *r, struct mega_call *c)
{
    uint64_t key = memo_key(c);
    struct memo_entry *e = &r->memo[key % MEMO_SIZE];
    while (e->key && e->key != key) e = e + 1 < r->memo + MEMO_SIZE ? e + 1 : r->memo;
    if (!e->key) {
        struct mega_text refusals = { 0 };
        bool log = r->context->log_dispatch;
        c->kernel = mega_kernel_choose(c, &r->context->limits, log ? &refusals : NULL);
        if (log) log_choice(r, c, &refusals);
        mega_text_done(&refusals);
        /* prepared only where it can be kept: a full memo asks again */
        if (r->memo_used + 1 >= MEMO_SIZE) return;
        r->memo_used++;
        *e = (struct memo_entry){ .key = key, .kernel = c->kernel };
        if (c->kernel && c->kernel->prepare) e->prepared = c->kernel->prepare(c);
    }
    c->kernel = e->kernel;
    c->prepared = e->prepared;
}

static bool check_inputs(mega_run *r, const struct mega_call *c)
{
    for (int i = 0; i < c->op->n_in; i++)
        if (!c->in[i] && !(c->op->optional >> i & 1)) {
            mega_run_fail(
                r, mega_fail(MEGA_INTERNAL, "%s: input %d is missing", c->op->name, i));
            return false;
        }
    return true;
}

/* what a sweep makes block by block has memory once somebody asks for it */
static mega_tensor *describe(mega_run *r, const mega_tensor *description)
{
    mega_tensor *t = mega_run_memory(r, sizeof *t);
    if (!t) return NULL;
    *t = *description;
    if (!t->device) t->device = &mega_cpu;
    t->waits = true;
    return t;
}

static bool make_outputs(mega_run *r, struct mega_call *c, bool waits)
{
    mega_tensor out[MEGA_OUT];
    for (int i = 0; i < MEGA_OUT; i++) out[i] = mega_absent();
    mega_status status = c->op->shape(c, out);
    if (status) {
        mega_run_fail(r, status);
        return false;
    }
    bool passing = c->op->cheap && r->passes && (c->mode & MEGA_RUN_GRAD);
    struct mega_arena *from = passing ? &r->passing : &r->values;
    for (int i = 0; i < MEGA_OUT; i++) {
        if (out[i].rank < 0) continue;
        c->out[i] = waits ? describe(r, &out[i]) : make(r, &out[i], from);
        if (!c->out[i]) return false;
    }
    return true;
}

static bool wants_gradient(const struct mega_call *c)
{
    for (int i = 0; i < c->op->n_in; i++)
        if (c->in[i] && c->in[i]->wants_grad) return true;
    return false;
}

static bool make_saved(mega_run *r, struct mega_call *c)
{
    if (!(c->mode & MEGA_RUN_GRAD) || !c->kernel->keep) return true;
    mega_tensor saved[MEGA_SAVED];
    for (int i = 0; i < MEGA_SAVED; i++) saved[i] = mega_absent();
    c->kernel->keep(c, saved);
    for (int i = 0; i < MEGA_SAVED; i++)
        if (saved[i].rank >= 0 && !(c->saved[i] = make(r, &saved[i], &r->values))) return false;
    return true;
}

static struct record *record(mega_run *r, const struct mega_call *c)
{
    struct record *rec = mega_run_memory(r, sizeof *rec);
    if (!rec) return NULL;
    *rec = (struct record){ .before = r->last,
        .kind = RECORD_OP,
        .call = *c,
        .chain = run_chain(r),
        .start = r->op_start,
        .passing = r->op_passing };
    if (!(c->mode & MEGA_RUN_GRAD)) return rec;
    r->last = rec;
    for (int i = 0; i < MEGA_OUT; i++)
        if (c->out[i]) c->out[i]->wants_grad = true;
    return rec;
}

/* names the first result that is not finite */
static void check_finite(mega_run *r, const struct mega_call *c, const char *site)
{
    for (int i = 0; i < MEGA_OUT; i++) {
        const mega_tensor *t = c->out[i];
        if (!t || t->dtype == MEGA_I32 || t->dtype == MEGA_I64) continue;
        for (int64_t row = 0, n = mega_height(t); row < n; row++)
            for (int64_t j = 0; j < mega_width(t); j++)
                if (!isfinite(mega_get(t, row, j))) {
                    char shape[96];
                    mega_run_fail(
                        r, mega_fail(MEGA_NOT_FINITE,
                               "%s%s%s: output %d %s holds %g at row %lld, column %lld",
                               c->op->name, site ? " " : "", site ? site : "", i,
                               mega_tensor_print(t, shape), mega_get(t, row, j), (long long)row,
                               (long long)j));
                    return;
                }
    }
}

uint64_t mega_run_site(const mega_run *r, const char *site)
{
    return mega_hash_join(r->path_hash, site ? mega_hash_text(site) : 0);
}

uint64_t mega_run_draws(const mega_run *r, const char *site)
{
    const struct mega_now *now = &r->args.now;
    return mega_hash_join(
        mega_hash_join(now->seed, (uint64_t)now->step), mega_run_site(r, site));
}

/* everything up to the choice of a kernel */
static bool prepare_call(mega_run *r, struct mega_call *c, const char *site, bool *waits)
{
    if (r->status || !check_inputs(r, c)) return false;
    c->dtype = r->args.dtype;
    c->mode = r->args.mode & (MEGA_RUN_TRAIN | MEGA_RUN_GRAD | MEGA_RUN_PLAIN);
    if (!r->recording || !wants_gradient(c)) c->mode &= ~(unsigned)MEGA_RUN_GRAD;
    c->now = r->args.now;
    c->site = mega_run_site(r, site);
    c->work = &r->context->work;
    *waits = sweep_takes(r, c);
    sweep_meet(r, c, *waits);
    if (r->status) return false;
    r->op_start = r->values.used;
    r->op_passing = r->passing.used;
    if (c->op->attr_size) {
        void *attr = mega_run_memory(r, c->op->attr_size);
        if (!attr) return false;
        c->attr = memcpy(attr, c->attr, c->op->attr_size);
    }
    return make_outputs(r, c, *waits);
}

static void count_flops(mega_run *r, const struct mega_call *c)
{
    double flops, bytes;
    if (!(r->args.mode & MEGA_RUN_GRAD) || r->replaying) return;
    mega_op_cost(c, &flops, &bytes);
    r->flops += flops;
}

void run_forward(mega_run *r, const struct mega_call *c, enum mega_profile_pass pass,
    const struct mega_op *chain)
{
    if (r->args.mode & MEGA_RUN_DRY) return;
    double start = mega_profile_start(r->profile);
    mega_arena_release(&c->work->scratch[c->work->threads], 0);
    c->kernel->forward(c);
    if (r->profile) mega_profile_call(r->profile, c, pass, chain, start);
}

static void compute(mega_run *r, struct mega_call *c, const char *site, bool waits)
{
    if (!make_saved(r, c)) return;
    count_flops(r, c);
    if (!waits) {
        run_forward(
            r, c, r->replaying ? MEGA_PROFILE_AGAIN : MEGA_PROFILE_FORWARD, run_chain(r));
        unsigned checked = r->args.mode & (MEGA_RUN_CHECK | MEGA_RUN_DRY);
        if (checked == MEGA_RUN_CHECK) check_finite(r, c, site);
    }
    struct record *rec = waits || (c->mode & MEGA_RUN_GRAD) ? record(r, c) : NULL;
    if (rec && waits) sweep_add(r, rec);
}

mega_tensor *mega_run_call(mega_run *r, struct mega_call *c, const char *site)
{
    bool waits;
    if (!prepare_call(r, c, site, &waits)) return NULL;
    choose_kernel(r, c);
    compute(r, c, site, waits);
    return r->status ? NULL : c->out[0];
}

/* nobody takes this region: its chain begins */
static bool refuse_region(mega_run *r, const struct mega_op *region)
{
    if (r->n_chains < CHAIN_MOST) r->chain[r->n_chains] = region;
    r->n_chains++;
    if (r->profile) mega_profile_refused(r->profile, region);
    return false;
}

void mega_run_chain_end(mega_run *r)
{
    if (r->n_chains) r->n_chains--;
}

bool mega_run_region(mega_run *r, struct mega_call *c, const char *site)
{
    if (r->status) return false;
    if ((r->args.mode & MEGA_RUN_PLAIN) || r->args.dtype == MEGA_F64)
        return refuse_region(r, c->op);
    bool waits;
    if (!prepare_call(r, c, site, &waits)) return false;
    choose_kernel(r, c);
    if (!c->kernel) {
        mega_arena_release(&r->values, r->op_start);
        return refuse_region(r, c->op);
    }
    compute(r, c, site, waits);
    return !r->status;
}

void mega_run_leave_padding(mega_run *r)
{
    r->leaves_padding = true;
}

/* ---- looking inside ---- */

void mega_run_profile(mega_run *r, struct mega_profile *p)
{
    r->profile = p;
}

void mega_run_need(mega_run *r, const mega_tensor *t)
{
    mega_tensor *wanted = (mega_tensor *)(uintptr_t)t;
    sweep_run(r, &wanted, 1);
    if (!r->status) sweep_need(r, wanted);
}

mega_status mega_run_read(mega_run *r, const mega_tensor *t, void *out)
{
    mega_run_need(r, t);
    if (r->status) return mega_fail(r->status, "%s", r->message);
    mega_tensor dense = mega_tensor_over(out, t->dtype, t->rank, t->dim);
    mega_tensor_copy(&dense, t);
    return MEGA_OK;
}

bool mega_run_wants(const mega_run *r, const char *what)
{
    const char *at = r->args.wants && !r->replaying ? strstr(r->args.wants, what) : NULL;
    size_t n = strlen(what);
    return at && (at == r->args.wants || at[-1] == ',') && (at[n] == 0 || at[n] == ',');
}

void mega_run_tap(mega_run *r, const char *what, const mega_tensor *t)
{
    if (!t || r->replaying || !r->args.tap) return;
    mega_run_need(r, t);
    if (!r->status) r->args.tap(r->args.tap_arg, r->path, what, t);
}

double mega_run_flops(const mega_run *r)
{
    return r->flops;
}

void mega_run_walk(mega_run *r, void (*visit)(void *, const struct mega_call *), void *arg)
{
    for (struct record *rec = r->last; rec; rec = rec->before)
        if (rec->kind == RECORD_OP && !rec->sweep) visit(arg, &rec->call);
}
