/* The inside of a model (see megac/model.h): what it is (config.json), what it keeps (the
 * store), how it runs. */
#ifndef MEGA_MODEL_MODEL_H
#define MEGA_MODEL_MODEL_H

#include "format/node.h"
#include "megac/model.h"
#include "model/classifier.h"
#include "model/language_model.h"
#include "model/masked_model.h"

enum mega_architecture { MEGA_CLASSIFIER, MEGA_LANGUAGE_MODEL, MEGA_MASKED_MODEL };

/* Everything that decides a model's shape: the recipe's section `model` and what the task adds.
 */
struct mega_model_config {
    enum mega_architecture architecture;
    /* a classifier */
    int encoder_kind; /* enum mega_encoder_kind */
    struct mega_transformer_options transformer;
    struct mega_encoder_options encoder;
    struct mega_head_options head;
    _Alignas(
        16) unsigned char mixer[MEGA_MIXER_OPTIONS_SIZE]; /* the chosen mixer's own options */
    struct mega_classifier_task task;
    struct mega_texts labels; /* names of the classes; borrowed */
    /* a language model */
    struct mega_language_model_config language;
    /* a masked language model */
    struct mega_masked_model_config {
        struct mega_masked_model_options options;
        struct mega_vocabulary vocabulary;
    } masked;
};

/* Reads a recipe's or config.json's section `model` (NULL: all defaults) for a model of this
 * architecture; refuses unknown keys with their place. */
mega_status mega_model_config_read(struct mega_model_config *c, enum mega_architecture a,
    const struct mega_document *d, const struct mega_node *section);

/* Prints the section back as YAML lines ("  layers: 4\n"). */
void mega_model_config_print(const struct mega_model_config *c, struct mega_text *to);

/* The encoder's kind alone, for struct mega_model_config. */
extern const struct mega_option mega_classifier_options[];

/* The n-th thing about a configuration that is allowed and hardly meant, or NULL. */
const char *mega_model_config_doubt(const struct mega_model_config *c, int n);

/* Places that a text can have; 0: any number. */
int64_t mega_model_config_longest(const struct mega_model_config *c);

/* The tokens of a language model, masked or not. */
struct mega_vocabulary mega_model_config_vocabulary(const struct mega_model_config *c);

/* What the recipe said about recomputation. */
enum mega_recompute mega_model_recompute(const struct mega_model_config *c);

struct mega_model {
    struct mega_store store;
    struct mega_model_config config;
    struct mega_classifier classifier; /* one of these, by config.architecture */
    struct mega_language_model language;
    struct mega_masked_model masked;
    struct mega_document document; /* the config.json that it came from, if any */
};

/* Declares a model; with `numbers` also gives it memory (values not yet filled), `for_training`
 * with gradients and moments. */
mega_status mega_model_new(
    mega_model **out, const struct mega_model_config *config, bool numbers, bool for_training);

/* Texts in a row: 2 for classifiers of pairs, else 1. */
int64_t mega_model_towers(const mega_model *m);

/* Its blocks. */
struct mega_stack *mega_model_stack(mega_model *m);

/* config.json: `task` is text to be put in as the member "task" (an object), or NULL. */
void mega_model_config_json(
    const struct mega_model_config *c, const char *task, struct mega_text *to);

/* Reads config.json of a folder; the document is kept for its texts and is yours to end. */
mega_status mega_model_config_load(
    struct mega_model_config *c, struct mega_document *d, const char *folder);

/* The same from a document that is read already, and stays yours. */
mega_status mega_model_config_parse(
    struct mega_model_config *c, const struct mega_document *config);

/* model.safetensors: parameters and buffers by their official names. Loading refuses unknown,
 * missing and misshapen tensors by name, ignores `*version`, `*_float_tensor` and
 * `*num_batches_tracked`, and widens F16 and BF16. */
mega_status mega_model_save_weights(const mega_model *m, const char *path);
mega_status mega_model_load_weights(mega_model *m, const char *path);

/* The same checks on an open file, loading nothing. */
struct mega_safetensors;
mega_status mega_model_check_weights(
    const mega_model *m, const struct mega_safetensors *s, const char *path);

#endif
