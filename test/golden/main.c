/* Runs reference cases through the library's public layers: golden_cases [OPTIONS]
 * FILE_OR_FOLDER...
 *
 * One line a file (pass, fail, unsupported), then "N passed, N failed, N unsupported"; the exit
 * status is 1 if any failed or is unsupported. --later LIST names files (one a line,
 * folder/name) that belong to a later capability: they may be unsupported. --exec asks for one
 * of attention's ways of computing; a case that the library refuses to compute so counts as
 * passed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/case.h"

/* a module's name, or how it begins ("..*"); what runs a case of it, and a whole training run
 */
static const struct {
    const char *module;
    golden_adapter *run, *train;
} adapters[] = {
    { "SequenceNorm", golden_norm, NULL },
    { "RealNumberEmbedding", golden_number_embedding, NULL },
    { "SimpleRelativePositionalBias", golden_simple_bias, NULL },
    { "RotaryRelativePositionalBias", golden_rotary_bias, NULL },
    { "MultiHeadEMA", golden_ema, NULL },
    { "MultiHeadEMA.step", golden_ema_step, NULL },
    { "MovingAverageGatedAttention", golden_attention, NULL },
    { "NormalizedFeedForwardNetwork", golden_feed_forward, NULL },
    { "MegaSentenceEncoderLayer", golden_layer, NULL },
    { "LRAModel", golden_lra_model, golden_train },
    { "LRAModel+LRACrossEntropyCriterion", golden_lra_model, NULL },
    { "SCRawModel", golden_speech_model, golden_train },
    { "MegaLanguageModel", golden_language_model, golden_train },
    { "TransformerWrapper", golden_transformer, NULL },
    { "TransformerWrapper(cache)", golden_transformer_cache, NULL },
    { "TransformerWrapper(return_mems)", golden_transformer_segments, NULL },
    { "ResiDual(TransformerWrapper)", golden_transformer, NULL },
    { "fairseq MultiheadAttention (fork)", golden_multi_head, NULL },
    { "TimestepNorm", golden_timestep_norm, NULL },
    { "TimestepNorm (port)", golden_timestep_norm_port, NULL },
    { "MultiHeadComplexEMA", golden_cema, NULL },
    { "ComplexEMA (port)", golden_cema_port, NULL },
    { "RotaryEmbedding", golden_rope, NULL },
    { "FusedRMSNorm", golden_rms_norm, NULL },
    { "FusedLayerNorm", golden_layer_norm, NULL },
    { "MovingAverageGatedAttention (Megalodon)", golden_megalodon_attention, NULL },
    { "MegalodonBlock (port*", golden_megalodon_block_port, NULL },
    { "Mega (Megalodon LM)", golden_megalodon, golden_train },
    { "MegalodonForCausalLM (port)", golden_megalodon_port, NULL },
    { "ConcreteGate formulas", golden_heads, NULL },
    { "AdaptiveInput", golden_adaptive_input, NULL },
    { "AdaptiveSoftmax", golden_adaptive_softmax, NULL },
    { "lr_scheduler.*", golden_schedule, NULL },
    { "megalodon.optim.lr_scheduler*", golden_schedule, NULL },
    { "fairseq.optim.adam.Adam*", golden_adam, NULL },
    { "torch.optim.AdamW*", golden_adam, NULL },
};

struct options {
    struct mega_context_options context;
    bool verbose;
    const char *exec;       /* of attention: fused, strip; NULL: as it likes */
    bool half;              /* in bfloat16, with tolerances to match */
    struct mega_text later; /* the list's text */
};

struct counts {
    int passed, failed, unsupported, later;
};

static bool matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);
    return pattern[n - 1] == '*' ? !strncmp(pattern, name, n - 1) : !strcmp(pattern, name);
}

static golden_adapter *find_adapter(const struct golden_case *c)
{
    bool train = !strcmp(golden_meta(c, "kind"), "train");
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++)
        if (matches(adapters[i].module, golden_meta(c, "module")))
            return train ? adapters[i].train : adapters[i].run;
    return NULL;
}

/* what official files hold beside weights (Mega section 9.1) */
static bool is_idle(const char *name)
{
    return strstr(name, "num_batches_tracked") || strstr(name, "_float_tensor") ||
           strstr(name, "version");
}

/* what nobody looked at makes a case unsupported */
static void check_complete(struct golden_case *c)
{
    if (c->refused) return;
    golden_cfg_complete(c);
    for (int i = 0; i < c->file->n; i++) {
        const char *name = c->file->tensor[i].name;
        bool given = !strncmp(name, "in.", 3) || !strncmp(name, "param.", 6);
        if (given ? !c->used[i] && !is_idle(name) : !c->compared[i])
            golden_unsupported(c, "%s is not %s", name, given ? "used" : "compared");
    }
    if (c->worst > 1) golden_fail(c, "%s", c->worst_reason);
}

static double largest_gradient(const struct mega_safetensors *s)
{
    double most = 0;
    for (int i = 0; i < s->n; i++)
        for (int64_t k = 0; !strncmp(s->tensor[i].name, "grad.", 5) && k < s->tensor[i].count;
             k++)
            most = fmax(most, fabs(mega_st_real(&s->tensor[i], k)));
    return most;
}

static double tolerance(const struct golden_case *c, const char *key, double fallback)
{
    const char *text = golden_meta(c, key);
    return *text ? strtod(text, NULL) : fallback;
}

static void run_case(struct golden_case *c, const struct options *o)
{
    c->used = calloc((size_t)c->file->n + 1, sizeof *c->used);
    c->compared = calloc((size_t)c->file->n + 1, sizeof *c->compared);
    c->read = calloc((size_t)c->file->n_meta + 1, sizeof *c->read);
    c->tol_out = tolerance(c, "tol_out_rel", 2e-5);
    c->tol_grad = tolerance(c, "tol_grad_rel", 5e-5);
    c->grad_floor = largest_gradient(c->file) / 100;
    c->dtype = o->half ? MEGA_BF16 : MEGA_F32;
    if (o->half) {
        /* A rounding of 2^-9 at every op, some ten of them in a row. Gradients that are small
         * because their terms cancel are as wrong as the terms: a tenth of the largest one is
         * what they are measured by. */
        c->tol_out = fmax(c->tol_out, 0.1);
        c->tol_grad = fmax(c->tol_grad, 0.15);
        c->grad_floor *= 10;
    }
    golden_adapter *adapter = find_adapter(c);
    if (!adapter) {
        golden_unsupported(c, "later capability: module %s", golden_meta(c, "module"));
    } else if (golden_check(c, mega_context_new(&c->context, &o->context))) {
        adapter(c);
        check_complete(c);
    }
    mega_context_free(c->context);
    free(c->used);
    free(c->compared);
    free(c->read);
}

/* "mega/cross_nomask" stands on a line of the list */
static bool is_later(const struct options *o, const char *path)
{
    const char *name = strrchr(path, '/');
    while (name && name > path && name[-1] != '/') name--;
    name = name ? name : path;
    size_t n = strlen(name) - strlen(".safetensors");
    for (const char *at = o->later.data; at && *at;
         at += strcspn(at, "\n") + (at[strcspn(at, "\n")] == '\n'))
        if (strcspn(at, " \n") == n && !strncmp(at, name, n)) return true;
    return false;
}

static void run_file(const char *path, const struct options *o, struct counts *counts)
{
    static const char *const words[] = { "pass", "fail", "unsupported" };
    struct mega_safetensors s;
    struct golden_case c = { .file = &s, .exec = o->exec, .verbose = o->verbose };
    if (golden_check(&c, mega_safetensors_open(&s, path))) {
        run_case(&c, o);
        mega_safetensors_close(&s);
    }
    if (c.verdict == GOLDEN_UNSUPPORTED && is_later(o, path)) {
        counts->later++;
        return;
    }
    printf("%s %s%s%s\n", words[c.verdict], path, c.verdict ? ": " : "", c.reason);
    counts->passed += c.verdict == GOLDEN_PASSED;
    counts->failed += c.verdict == GOLDEN_FAILED;
    counts->unsupported += c.verdict == GOLDEN_UNSUPPORTED;
}

static void run_path(const char *path, const struct options *o, struct counts *counts)
{
    struct mega_names names;
    if (!mega_path_is_folder(path)) {
        run_file(path, o, counts);
        return;
    }
    if (mega_folder_list(path, &names)) {
        printf("fail %s: %s\n", path, mega_message());
        counts->failed++;
        return;
    }
    for (int i = 0; i < names.n; i++) {
        char inner[1024];
        snprintf(inner, sizeof inner, "%.500s/%.500s", path, names.item[i]);
        const char *end = strrchr(inner, '.');
        if (mega_path_is_folder(inner) || (end && !strcmp(end, ".safetensors")))
            run_path(inner, o, counts);
    }
    mega_names_done(&names);
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    struct counts counts = { 0 };
    int files = 0;
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (!strcmp(argv[i], "--verbose"))
            o.verbose = true;
        else if (!strcmp(argv[i], "--precision") && more)
            o.half = !strcmp(argv[++i], "bf16");
        else if (!strcmp(argv[i], "--exec") && more)
            o.exec = argv[++i];
        else if (!strcmp(argv[i], "--rooms") && more)
            o.context.rooms = argv[++i];
        else if (!strcmp(argv[i], "--isa") && more)
            o.context.isa = argv[++i];
        else if (!strcmp(argv[i], "--threads") && more)
            o.context.threads = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--later") && more) {
            if (mega_file_read(argv[++i], &o.later))
                return fprintf(stderr, "%s\n", mega_message()), 2;
        } else {
            run_path(argv[i], &o, &counts);
            files++;
        }
    }
    if (!files)
        return fprintf(stderr, "usage: golden_cases [--rooms LIST] [--isa SET] [--threads N] "
                               "[--precision float32|bf16] [--exec fused|strip] [--verbose] "
                               "[--later LIST] FILE_OR_FOLDER...\n"),
               2;
    if (counts.later) printf("%d files belong to later capabilities\n", counts.later);
    printf("%d passed, %d failed, %d unsupported\n", counts.passed, counts.failed,
        counts.unsupported);
    mega_text_done(&o.later);
    return counts.failed || counts.unsupported || !counts.passed;
}
