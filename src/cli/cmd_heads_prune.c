/* mega heads prune: a model without some of its heads, as an ordinary model folder. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/heads_session.h"
#include "format/node.h"
#include "model/units.h"
#include "study/channels.h"

struct options {
    const char *remove, *channels;
    int by;
    int64_t keep, step, seed;
    bool once, never_empty, json;
    double most;
    struct mega_heads_data_options data;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "remove", MEGA_OPTION_TEXT, AT(remove), "", 0, 0, NULL, "LIST",
        "these heads, by layer and original number from 0: 1.2,3.0 or \"1: 2 3; 3: 0\"", 'r' },
    { "channels", MEGA_OPTION_TEXT, AT(channels), "", 0, 0, NULL, "LIST",
        "these blocks of feed-forward channels (model.channel_block), by feed-forward and "
        "original number; without it those whose gates are closed",
        0 },
    { "by", MEGA_OPTION_CHOICE, AT(by), "gates", 0, 0, MEGA_HEAD_METHODS, NULL,
        "without --remove: what decides; gates: a model's trained gates; gates, weight and "
        "random "
        "need no data, and tell no loss without FILE or --most",
        0 },
    { "keep", MEGA_OPTION_INT, AT(keep), "-1", -1, 1 << 20, NULL, "N",
        "heads that are left, of all layers; -1: by gates, those that are not closed", 'k' },
    { "step", MEGA_OPTION_INT, AT(step), "1", 1, 1 << 20, NULL, "N",
        "heads that go at a time, before the others are judged again", 0 },
    { "once", MEGA_OPTION_BOOL, AT(once), "false", 0, 0, NULL, NULL,
        "judge the heads once, not before each step", 0 },
    { "never-empty", MEGA_OPTION_BOOL, AT(never_empty), "false", 0, 0, NULL, NULL,
        "the last head of a layer stays", 0 },
    { "most", MEGA_OPTION_REAL, AT(most), "0", 0, 1e9, NULL, "NATS",
        "stop before the loss has grown by more than this; 0: go on to --keep", 0 },
    { "seed", MEGA_OPTION_INT, AT(seed), "1", 0, 9007199254740991.0, NULL, "N",
        "of --by random", 0 },
    { "json", MEGA_OPTION_BOOL, AT(json), "false", 0, 0, NULL, NULL, "print one JSON object",
        0 },
    MEGA_HEADS_DATA_OPTIONS(AT(data)),
    { 0 },
};

struct work {
    const struct options *o;
    struct mega_heads_session heads;
    struct mega_head_table kept, channels; /* heads; blocks of channels */
    struct mega_head_step *steps;
    int64_t n_steps;
    struct mega_text remark;
};

static void tell(void *arg, const struct mega_head_step *step)
{
    const struct work *w = arg;
    if (!w->o->json && !isnan(step->loss))
        fprintf(stderr, "%lld heads: loss %.6f, perplexity %.4f\n", (long long)step->heads,
            step->loss, exp(step->loss));
}

static mega_status all_heads(struct work *w)
{
    struct mega_model_heads h;
    MEGA_TRY(mega_model_heads_list(&h, w->heads.session.model));
    mega_status status = mega_head_table_new(&w->kept, &h);
    mega_model_heads_done(&h);
    for (int64_t i = 0; !status && i < w->kept.layers * w->kept.heads; i++)
        if (!isnan(w->kept.value[i])) w->kept.value[i] = 1;
    return status;
}

/* are channels all that is said to go? */
static mega_status only_channels(const struct work *w, bool *only)
{
    struct mega_model_units u;
    MEGA_TRY(mega_model_units_find(&u, w->heads.session.model));
    bool heads = false, channels = *w->o->channels;
    for (int64_t i = 0; i < u.n; i++)
        *(u.set[i].kind == MEGA_UNIT_CHANNELS ? &channels : &heads) = true;
    mega_model_units_done(&u);
    *only = channels && !heads;
    return MEGA_OK;
}

/* heads whose gate is exactly closed */
static mega_status closed_heads(struct work *w)
{
    struct mega_head_table log_a;
    bool channels;
    MEGA_TRY(only_channels(w, &channels));
    if (channels) return all_heads(w);
    MEGA_TRY(mega_study_gates(w->heads.session.model, &w->kept, &log_a));
    mega_head_table_free(&log_a);
    int64_t partial = 0, n = w->kept.layers * w->kept.heads;
    for (int64_t i = 0; i < n; i++) {
        double g = w->kept.value[i];
        partial += !isnan(g) && g > 0 && g < 1;
        if (!isnan(g)) w->kept.value[i] = g > 0;
    }
    if (partial)
        mega_text_add(&w->remark,
            "%lld heads are neither open nor closed: their gates go into the output "
            "projection\n",
            (long long)partial);
    return MEGA_OK;
}

/* blocks that are closed, and those of the list */
static mega_status choose_channels(struct work *w)
{
    const mega_model *m = w->heads.session.model;
    int64_t partial = 0;
    MEGA_TRY(mega_study_channels(m, &w->channels));
    mega_study_channels_close(m, &w->channels, &partial);
    if (partial)
        mega_text_add(&w->remark,
            "%lld blocks of channels are neither open nor closed: their gates go into the "
            "projection that reads them\n",
            (long long)partial);
    if (!*w->o->channels) return MEGA_OK;
    if (!w->channels.layers)
        return mega_fail(MEGA_UNSUPPORTED,
            "no channels can be removed from this model: expected a language model whose "
            "feed-forwards fall into blocks of model.channel_block (%d)",
            MEGA_CHANNEL_BLOCK);
    return mega_study_remove(&w->channels, "block", w->o->channels, &w->remark);
}

/* is there anything to read data for? */
static bool needs_data(const struct options *o, const char *file)
{
    bool by_itself =
        o->by == MEGA_HEADS_WEIGHT || o->by == MEGA_HEADS_GATES || o->by == MEGA_HEADS_RANDOM;
    return !by_itself || file || o->most > 0;
}

static mega_status step_by_step(struct work *w, const char *file)
{
    const struct options *o = w->o;
    mega_model *gated;
    bool data = needs_data(o, file);
    if (data) MEGA_TRY(mega_heads_load(&w->heads, file));
    MEGA_TRY(mega_study_gated(&gated, w->heads.session.model));
    struct mega_head_pruning how = { (enum mega_head_method)o->by, o->keep, o->step, o->once,
        o->never_empty, o->most, w->heads.end, (uint64_t)o->seed };
    mega_status status = mega_study_prune(data ? &w->heads.data : NULL, w->heads.session.model,
        gated, &how, &w->kept, &w->steps, &w->n_steps, tell, w);
    mega_model_free(gated);
    return status;
}

static mega_status choose(struct work *w, const char *file)
{
    if (*w->o->remove) {
        MEGA_TRY(all_heads(w));
        return mega_study_remove(&w->kept, "head", w->o->remove, &w->remark);
    }
    if (w->o->by == MEGA_HEADS_GATES && w->o->keep < 0) return closed_heads(w);
    if (w->o->keep < 0 && !(w->o->most > 0))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "nothing says how many heads are to go: expected --keep, --most or --remove");
    return step_by_step(w, file);
}

static int64_t count_kept(const struct mega_head_table *t)
{
    int64_t n = 0;
    for (int64_t i = 0; i < t->layers * t->heads; i++)
        n += !isnan(t->value[i]) && t->value[i] > 0;
    return n;
}

static void report(const struct work *w, const mega_model *m, const char *out)
{
    const mega_model *before = w->heads.session.model;
    int64_t n = count_kept(&w->kept);
    struct mega_text kept = { 0 }, json = { 0 }, channels = { 0 };
    mega_study_kept(&w->kept, before, &kept);
    mega_study_channels_kept(&w->channels, before, &channels);
    if (!w->o->json) {
        printf("%s: %lld of %lld heads, ", out, (long long)n,
            (long long)mega_head_table_count(&w->kept));
        if (channels.size)
            printf("%lld of %lld blocks of channels, ", (long long)count_kept(&w->channels),
                (long long)mega_head_table_count(&w->channels));
        printf("%lld of %lld parameters; kept: %s%s%s\n", (long long)mega_model_parameters(m),
            (long long)mega_model_parameters(before), kept.data,
            channels.size ? "; channels: " : "", channels.size ? channels.data : "");
    } else {
        mega_text_add(&json,
            "{\"heads\": %lld, \"parameters\": %lld, \"kept_heads\": ", (long long)n,
            (long long)mega_model_parameters(m));
        mega_json_add_text(&json, kept.data, kept.size);
        if (channels.size) {
            mega_text_add(&json, ", \"kept_channels\": ");
            mega_json_add_text(&json, channels.data, channels.size);
        }
        mega_text_add(&json, ", \"steps\": [");
        for (int64_t i = 0; i < w->n_steps; i++) {
            mega_text_add(
                &json, "%s{\"heads\": %lld", i ? ", " : "", (long long)w->steps[i].heads);
            if (!isnan(w->steps[i].loss)) {
                mega_text_add(&json, ", \"loss\": ");
                mega_json_add_real(&json, w->steps[i].loss);
            }
            mega_text_add(&json, "}");
        }
        mega_text_add(&json, "]}");
        puts(json.failed ? "" : json.data);
    }
    mega_text_done(&kept);
    mega_text_done(&channels);
    mega_text_done(&json);
}

static mega_status prune(struct work *w, const char *out)
{
    const mega_model *m = w->heads.session.model;
    struct mega_text kept = { 0 }, channels = { 0 };
    mega_model *pruned = NULL;
    mega_study_kept(&w->kept, m, &kept);
    mega_study_channels_kept(&w->channels, m, &channels);
    struct mega_model_heads_change change = {
        .kept = kept.data, .channels = channels.data, .fold = true
    };
    mega_status status = kept.failed || channels.failed
                             ? mega_fail(MEGA_NO_MEMORY, "no memory for a list of heads")
                             : mega_model_heads_change(&pruned, m, &change);
    if (!status) status = mega_heads_save(&w->heads, pruned, out);
    if (!status) report(w, pruned, out);
    mega_model_free(pruned);
    mega_text_done(&kept);
    mega_text_done(&channels);
    return status;
}

static int run(const struct mega_line *line)
{
    struct work w = { .o = line->options };
    const char *out = line->word[1], *file = line->n_words > 2 ? line->word[2] : NULL;
    mega_status status =
        mega_path_exists(out)
            ? mega_fail(MEGA_BAD_ARGUMENT, "%s is there already: choose another folder", out)
            : mega_heads_open_any(&w.heads, line->word[0], file, &w.o->data);
    if (status) return mega_command_fail(status);
    status = choose(&w, file);
    if (!status) status = choose_channels(&w);
    if (!status) status = prune(&w, out);
    if (!status && w.remark.size) fprintf(stderr, "mega: %s", w.remark.data);
    mega_text_done(&w.remark);
    mega_head_table_free(&w.kept);
    mega_head_table_free(&w.channels);
    free(w.steps);
    mega_heads_close(&w.heads);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_heads_prune = {
    .name = "heads prune",
    .summary = "Remove attention heads and write the smaller model",
    .words = "RUN_OR_MODEL OUT [FILE|-]",
    .least = 2,
    .most = 3,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "OUT is an ordinary model folder; it must not exist, and appears when it is whole. Its "
        "configuration lists the heads that are left by the numbers that they had in the first "
        "model (kept_heads), so that numbers mean the same in a second removal. A head of keys "
        "and "
        "values goes with the last query head that reads it. Of Mega, a head is the whole "
        "attention of a block, which keeps its moving average; of Megalodon, a head goes with "
        "its part of the output gate. Blocks of feed-forward channels whose gates are closed "
        "go, too (kept_channels).\n\n"
        "Heads go by a list (--remove), by trained gates, or some at a time by importance: "
        "gradient (Michel et al., 2019), ablation (what closing it alone adds to the loss), "
        "confidence, weight (norms of the projections), relevance (of the prediction), random. "
        "Gates between 0 and 1 are folded into the projection that reads them. What comes out "
        "computes "
        "what the gated model computed.",
    .run = run,
};
