#include "train/recipe.h"

#include <string.h>

#include "format/option_json.h"
#include "graph/precision.h"
#include "model/presets.h"

#define TRAIN(member) offsetof(struct mega_train_options, member)

static const struct mega_option train_options[] = {
    { "batch", MEGA_OPTION_INT, TRAIN(batch), "32", 1, 1 << 20, NULL, "ROWS",
        "texts in a pass (--max-sentences)", 0 },
    { "tokens", MEGA_OPTION_INT, TRAIN(tokens), "0", 0, 1 << 30, NULL, "N",
        "places in a pass, padding counted: batches hold as many texts as fit, at most "
        "`batch`; 0: no limit (--max-tokens)",
        0 },
    { "accumulate", MEGA_OPTION_INT, TRAIN(accumulate), "1", 1, 1 << 20, NULL, "N",
        "passes in an update (--update-freq)", 0 },
    { "bucket", MEGA_OPTION_BOOL, TRAIN(bucket), "true", 0, 0, NULL, NULL,
        "put texts of like length into a batch", 0 },
    { "average", MEGA_OPTION_CHOICE, TRAIN(average), "auto", 0, 0, "rows|tokens|auto", NULL,
        "what the summed gradient of an update is divided by (rows: --sentence-avg); auto: "
        "rows "
        "for classes, tokens for language models",
        0 },
    { "label_smoothing", MEGA_OPTION_REAL, TRAIN(label_smoothing), "0", 0, 1, NULL, "E",
        "share of the target that all words of a language model's vocabulary get "
        "(--label-smoothing)",
        0 },
    { "epochs", MEGA_OPTION_INT, TRAIN(epochs), "0", 0, 1 << 30, NULL, "N",
        "end after so many passes over the data; 0: optim.steps decides", 0 },
    { "validate_every", MEGA_OPTION_INT, TRAIN(validate_every), "0", 0, 1 << 30, NULL, "N",
        "updates between validations; 0: at the end of each epoch", 0 },
    { "valid_batch", MEGA_OPTION_INT, TRAIN(valid_batch), "64", 1, 1 << 20, NULL, "ROWS",
        "texts in a pass of validation", 0 },
    { "save_every", MEGA_OPTION_INT, TRAIN(save_every), "0", 0, 1 << 30, NULL, "N",
        "updates between checkpoints; 0: with each validation", 0 },
    { "keep", MEGA_OPTION_INT, TRAIN(keep), "2", 0, 1 << 20, NULL, "N",
        "newest checkpoints to keep beside the best; 0: all", 0 },
    { "patience", MEGA_OPTION_INT, TRAIN(patience), "0", 0, 1 << 20, NULL, "N",
        "end after so many validations without a better one; 0: never", 0 },
    { "metric", MEGA_OPTION_CHOICE, TRAIN(metric), "auto", 0, 0, "accuracy|loss|auto", NULL,
        "what the best checkpoint is chosen by; auto: accuracy for classes, loss for language "
        "models",
        0 },
    { "log_every", MEGA_OPTION_INT, TRAIN(log_every), "100", 1, 1 << 30, NULL, "N",
        "updates between lines on the screen; log.jsonl gets every update", 0 },
    { "time_limit", MEGA_OPTION_REAL, TRAIN(time_limit), "0", 0, 1e6, NULL, "HOURS",
        "save and leave after so long; 0: no limit", 0 },
    { "precision", MEGA_OPTION_CHOICE, TRAIN(precision), "auto", 0, 0, MEGA_PRECISION_CHOICES,
        NULL,
        "of activations and their gradients: bf16 halves their memory; auto: bf16 where the "
        "chip has matrix units for it, else float32. All else is float32 (--fp16, --bf16)",
        0 },
    { "memory", MEGA_OPTION_INT, TRAIN(memory), "0", 0, 1 << 30, NULL, "MIB",
        "what the process may take at most, for model.recompute: auto; 0: what the machine has",
        0 },
    { 0 },
};

static const struct mega_option top_options[] = {
    { "seed", MEGA_OPTION_INT, offsetof(struct mega_recipe, seed), "1", 0, 9007199254740991.0,
        NULL, "N", "initial weights, dropout and the order of the data follow from it", 0 },
    { 0 },
};

const struct mega_recipe_table mega_recipe_tables[] = {
    { "", top_options },
    { "task", mega_task_options },
    { "model", mega_preset_options },
    { "model", mega_classifier_options },
    { "model", mega_encoder_options },
    { "model", mega_head_options },
    { "optim", mega_schedule_options },
    { "optim", mega_adam_options },
    { "train", train_options },
    { "heads", mega_head_training_table },
    { NULL, NULL },
};

static const char sections[] = "task|model|optim|train|heads";

/* a key that stands at the top though it belongs to a section: say to which */
static mega_status check_top(const struct mega_document *d)
{
    for (const struct mega_node *n = d->root->first; n; n = n->next) {
        if (mega_option_find(top_options, n->key) || mega_choice_find(sections, n->key) >= 0)
            continue;
        for (const struct mega_recipe_table *t = mega_recipe_tables; t->section; t++)
            if (*t->section && mega_option_find(t->options, n->key))
                return mega_fail(MEGA_BAD_ARGUMENT,
                    "%s:%d:%d: the key %s stands at the top level, expected %s.%s", d->name,
                    n->line, n->column, n->key, t->section, n->key);
    }
    return MEGA_OK;
}

static mega_status read_sections(struct mega_recipe *r)
{
    const struct mega_document *d = &r->document;
    MEGA_TRY(check_top(d));
    MEGA_TRY(mega_node_read(d, d->root, "", top_options, sections, r));
    const struct mega_option *optim[] = { mega_schedule_options, mega_adam_options };
    void *values[] = { &r->schedule, &r->adam };
    MEGA_TRY(mega_task_options_read(&r->task, d, mega_node_find(d->root, "task")));
    MEGA_TRY(mega_model_config_read(&r->model, mega_tasks[r->task.name]->architecture, d,
        mega_node_find(d->root, "model")));
    MEGA_TRY(
        mega_node_read_tables(d, mega_node_find(d->root, "optim"), "optim", optim, values, 2));
    MEGA_TRY(mega_node_read(
        d, mega_node_find(d->root, "train"), "train", train_options, NULL, &r->train));
    MEGA_TRY(mega_node_read(d, mega_node_find(d->root, "heads"), "heads",
        mega_head_training_table, NULL, &r->heads));
    r->train.precision = mega_precision_resolve(r->train.precision);
    bool language = r->model.architecture != MEGA_CLASSIFIER;
    if (r->train.average == MEGA_AVERAGE_AUTO)
        r->train.average = language ? MEGA_AVERAGE_TOKENS : MEGA_AVERAGE_ROWS;
    if (r->train.metric == MEGA_METRIC_AUTO)
        r->train.metric = language ? MEGA_METRIC_LOSS : MEGA_METRIC_ACCURACY;
    if (r->model.architecture == MEGA_LANGUAGE_MODEL && r->train.metric == MEGA_METRIC_ACCURACY)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%s: train.metric is accuracy, but a language model is measured by its loss",
            d->name);
    if (!r->schedule.steps && !r->train.epochs)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%s: nothing says when to end: give optim.steps (updates) or train.epochs",
            d->name);
    return MEGA_OK;
}

/* "optim.lr=1e-3" */
static mega_status apply(struct mega_document *d, const char *set)
{
    const char *equals = strchr(set, '=');
    char path[256];
    if (!equals || equals == set || (size_t)(equals - set) >= sizeof path)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "--set %s: expected KEY=VALUE, as in --set optim.lr=1e-3", set);
    memcpy(path, set, (size_t)(equals - set));
    path[equals - set] = 0;
    mega_status status = mega_node_set(d, path, equals + 1);
    return status ? mega_fail_in(status, "--set %s: ", set) : MEGA_OK;
}

mega_status mega_recipe_load(
    struct mega_recipe *r, const char *path, const struct mega_texts *set)
{
    *r = (struct mega_recipe){ 0 };
    MEGA_TRY(mega_yaml_load(&r->document, path));
    mega_status status = MEGA_OK;
    for (int i = 0; set && i < set->n && !status; i++)
        status = apply(&r->document, set->item[i]);
    if (!status) status = read_sections(r);
    if (status) mega_recipe_done(r);
    return status;
}

void mega_recipe_done(struct mega_recipe *r)
{
    mega_document_done(&r->document);
}

void mega_recipe_print(const struct mega_recipe *r, struct mega_text *to)
{
    mega_option_print(top_options, r, 0, to);
    mega_text_add(to, "task:\n");
    mega_task_options_print(&r->task, to);
    mega_text_add(to, "model:\n");
    mega_model_config_print(&r->model, to);
    mega_text_add(to, "optim:\n");
    mega_option_print(mega_schedule_options, &r->schedule, 2, to);
    mega_option_print(mega_adam_options, &r->adam, 2, to);
    mega_text_add(to, "train:\n");
    mega_option_print(train_options, &r->train, 2, to);
    if (!mega_node_find(r->document.root, "heads")) return;
    mega_text_add(to, "heads:\n");
    mega_option_print(mega_head_training_table, &r->heads, 2, to);
}
