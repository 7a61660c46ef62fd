#include "task/masked_lm.h"

#include "base/rng.h"
#include "task/lm.h"

mega_status mega_masked_lm_check(
    const struct mega_language_options *o, const struct mega_model_config *model)
{
    const struct mega_corpus_options *c = &o->corpus;
    const struct mega_masked_model_options *m = &model->masked.options;
    const struct {
        bool is;
        const char *key;
    } left_to_right[] = {
        { c->evaluate == MEGA_EVALUATE_STREAM || c->evaluate == MEGA_EVALUATE_WINDOW,
            "evaluate" },
        { c->start != MEGA_START_AUTO && c->start != MEGA_START_NONE, "start" },
        { c->streams != 1, "streams" },
        { c->segment != 0, "segment" },
        { c->stride != 0, "stride" },
        { c->align != 1, "align" },
        { c->least != 1 || c->most != 1, "least and most" },
    };
    for (size_t i = 0; i < sizeof left_to_right / sizeof *left_to_right; i++)
        if (left_to_right[i].is)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "task.%s is of language models that read from left to right: rows of masked "
                "tokens stand for themselves",
                left_to_right[i].key);
    if (!m->masked)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "model.masked_head is false: expected true, since masked tokens are told by it");
    return mega_masking_check(&o->masking);
}

mega_status mega_masked_lm_masks(struct mega_masking *out, const mega_tokenizer *t,
    const struct mega_masking_options *o, int64_t V)
{
    int32_t size = mega_tokenizer_size(t), mask = mega_tokenizer_mask(t),
            pad = mega_tokenizer_special(t, MEGA_PAD);
    if (mask < 0) mask = size;
    if (mask >= V)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "the tokenizer has no [MASK] or <mask>, and the model no id behind its %d: hidden "
            "tokens cannot be told",
            size);
    *out = (struct mega_masking){ .options = *o,
        .mask = mask,
        .vocabulary = size,
        .pad = pad < 0 ? 0 : pad,
        .before = t->before.id,
        .after = t->after.id,
        .n_before = (int64_t)t->before.n,
        .n_after = (int64_t)t->after.n };
    return MEGA_OK;
}

mega_status mega_masked_lm_rows(
    struct mega_text_batching *b, const struct mega_masking *masking)
{
    int64_t frame = masking->n_before + masking->n_after;
    if (b->length <= frame)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "task.length is %lld, and the tokenizer frames a row by %lld tokens: expected more",
            (long long)b->length, (long long)frame);
    b->length -= frame;
    b->before = masking->n_before;
    b->after = masking->n_after;
    /* any token may come before the first one: it is not looked at, and so the first is read */
    b->start = masking->pad;
    return MEGA_OK;
}

uint64_t mega_masked_lm_key(const struct mega_feed_batching *how, int64_t epoch)
{
    uint64_t site = mega_hash_text("masked tokens");
    if (!how->shuffle) return site;
    return mega_hash_join(mega_hash_join(how->seed, (uint64_t)epoch), site);
}

static mega_status open_job(struct mega_job **out, const struct mega_task_options *options,
    struct mega_model_config *model, const struct mega_log *log)
{
    if (model->masked.options.next)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "model.next_sentence is true, but the task masked_lm hides tokens alone: expected "
            "false");
    return mega_language_open(out, options, model, log);
}

const struct mega_task mega_task_masked_lm = {
    .name = "masked_lm",
    .architecture = MEGA_MASKED_MODEL,
    .open = open_job,
};
