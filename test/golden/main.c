/* Runs reference cases through the library's public layers: golden_cases [OPTIONS]
 * FILE_OR_FOLDER...
 *
 * One line a file (pass, fail, unsupported), then "N passed, N failed, N unsupported"; the exit
 * status is 1 if any failed or is unsupported. --later LIST names files (one a line,
 * folder/name) that belong to a later capability: they may be unsupported. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/case.h"
#include "golden/optim_case.h"

static const struct {
    const char *module;
    golden_adapter *run;
} adapters[] = {
    { "SequenceNorm", golden_norm },
    { "RealNumberEmbedding", golden_number_embedding },
    { "SimpleRelativePositionalBias", golden_simple_bias },
    { "RotaryRelativePositionalBias", golden_rotary_bias },
    { "MultiHeadEMA", golden_ema },
    { "MultiHeadEMA.step", golden_ema_step },
    { "MovingAverageGatedAttention", golden_attention },
    { "NormalizedFeedForwardNetwork", golden_feed_forward },
    { "MegaSentenceEncoderLayer", golden_layer },
    { "LRAModel", golden_lra_model },
    { "LRAModel+LRACrossEntropyCriterion", golden_lra_model },
    { "SCRawModel", golden_speech_model },
};

struct options {
    struct mega_context_options context;
    bool verbose;
    struct mega_text later; /* the list's text */
};

struct counts {
    int passed, failed, unsupported, later;
};

static golden_adapter *find_adapter(const struct golden_case *c)
{
    if (!strcmp(golden_meta(c, "cfg.arch"), "lra")) return golden_train;
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++)
        if (!strcmp(adapters[i].module, golden_meta(c, "module"))) return adapters[i].run;
    return NULL;
}

/* what nobody looked at makes a case unsupported */
static void check_complete(struct golden_case *c)
{
    for (int i = 0; i < c->file->n_meta; i++)
        if (!strncmp(c->file->meta[i].key, "cfg.", 4) && !c->read[i])
            golden_unsupported(c, "%s is not known", c->file->meta[i].key);
    for (int i = 0; i < c->file->n; i++) {
        const char *name = c->file->tensor[i].name;
        bool result = !strncmp(name, "out.", 4) || !strncmp(name, "grad.", 5) ||
                      !strncmp(name, "final.", 6);
        if (result && !c->compared[i]) golden_unsupported(c, "%s is not compared", name);
    }
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

static int run_case(
    const struct mega_safetensors *s, const struct options *o, struct golden_result *r)
{
    const char *name = mega_safetensors_meta(s, "case");
    if (name && !strncmp(name, "optim/", 6)) return golden_optim_case(s, r);
    struct golden_case c = { .file = s, .result = r, .verbose = o->verbose };
    c.compared = calloc((size_t)s->n + 1, sizeof *c.compared);
    c.read = calloc((size_t)s->n_meta + 1, sizeof *c.read);
    c.tol_out = tolerance(&c, "tol_out_rel", 2e-5);
    c.tol_grad = tolerance(&c, "tol_grad_rel", 5e-5);
    c.grad_floor = largest_gradient(s) / 100;
    golden_adapter *adapter = find_adapter(&c);
    if (!adapter)
        golden_unsupported(
            &c, "module %s belongs to a later capability", golden_meta(&c, "module"));
    else if (golden_check(&c, mega_context_new(&c.context, &o->context)))
        adapter(&c);
    if (adapter) check_complete(&c);
    mega_context_free(c.context);
    free(c.compared);
    free(c.read);
    return c.status;
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
    struct golden_result r = { 0 };
    int status = GOLDEN_FAILED;
    if (mega_safetensors_open(&s, path)) {
        snprintf(r.reason, sizeof r.reason, "%s", mega_message());
    } else {
        status = run_case(&s, o, &r);
        mega_safetensors_close(&s);
    }
    if (status == GOLDEN_UNSUPPORTED && is_later(o, path)) {
        counts->later++;
        return;
    }
    printf("%s %s%s%s\n", words[status], path, status ? ": " : "", status ? r.reason : "");
    counts->passed += status == GOLDEN_PASSED;
    counts->failed += status == GOLDEN_FAILED;
    counts->unsupported += status == GOLDEN_UNSUPPORTED;
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
                               "[--verbose] [--later LIST] FILE_OR_FOLDER...\n"),
               2;
    if (counts.later) printf("%d files belong to later capabilities\n", counts.later);
    printf("%d passed, %d failed, %d unsupported\n", counts.passed, counts.failed,
        counts.unsupported);
    mega_text_done(&o.later);
    return counts.failed || counts.unsupported || !counts.passed;
}
