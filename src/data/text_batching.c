/* Recipes into settings of batches. */
#include "data/text_batches.h"

enum mega_text_start mega_text_start_of(
    const struct mega_corpus_options *o, const struct mega_text_encoder *e)
{
    if (o->start != MEGA_START_AUTO) return (enum mega_text_start)o->start;
    enum mega_text_end end = mega_text_end_of(o, e);
    return end == MEGA_END_EOS   ? MEGA_START_EOS
           : end == MEGA_END_BOS ? MEGA_START_BOS
                                 : MEGA_START_NONE;
}

static mega_status start_id(
    const struct mega_corpus_options *o, const struct mega_text_encoder *e, int32_t *id)
{
    enum mega_text_start start = mega_text_start_of(o, e);
    *id = start == MEGA_START_EOS ? e->eos : start == MEGA_START_BOS ? e->bos : -1;
    if (*id >= 0 || start == MEGA_START_NONE) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "task.start is '%s', but the tokenizer has no such token: say none",
        start == MEGA_START_EOS ? "eos" : "bos");
}

static mega_status take_options(struct mega_text_batching *out,
    const struct mega_corpus_options *o, const struct mega_text_encoder *e,
    const struct mega_batching *batching)
{
    if (o->most < o->least)
        return mega_fail(MEGA_BAD_ARGUMENT, "task.most is %lld, less than task.least, %lld",
            (long long)o->most, (long long)o->least);
    enum mega_text_end end = mega_text_end_of(o, e);
    *out = (struct mega_text_batching){ .batching = *batching,
        .rows = o->rows,
        .length = o->length,
        .least = o->least,
        .most = o->most,
        .align = o->align,
        .end = end == MEGA_END_EOS   ? e->eos
               : end == MEGA_END_BOS ? e->bos
                                     : -1,
        .pad = e->pad >= 0 ? e->pad : 0 };
    return start_id(o, e, &out->start);
}

mega_status mega_text_batching_train(struct mega_text_batching *out,
    const struct mega_corpus_options *o, const struct mega_text_encoder *e,
    const struct mega_batching *batching)
{
    MEGA_TRY(take_options(out, o, e, batching));
    out->batching.shuffle = true;
    out->shift = o->shift;
    return MEGA_OK;
}

mega_status mega_text_batching_evaluate(struct mega_text_batching *out,
    const struct mega_corpus_options *o, const struct mega_text_encoder *e,
    const struct mega_batching *batching)
{
    MEGA_TRY(take_options(out, o, e, batching));
    out->batching.shuffle = out->batching.bucket = false;
    out->batching.accumulate = 1;
    /* the longest rows that training knows */
    out->least = out->most;
    if (o->evaluate == MEGA_EVALUATE_ROWS) return MEGA_OK;
    bool documents = o->rows == MEGA_TEXT_EOS || o->rows == MEGA_TEXT_DOCUMENT ||
                     o->rows == MEGA_TEXT_PACKED;
    int64_t size = o->segment > 0 ? o->segment : o->length * o->most;
    if (documents)
        out->rows = MEGA_TEXT_EOS;
    else
        out->parts = o->streams;
    if (o->evaluate != MEGA_EVALUATE_WINDOW) {
        out->segment = size;
        return MEGA_OK;
    }
    out->window = size;
    out->stride = o->stride > 0 ? o->stride : (size + 1) / 2;
    if (out->stride <= out->window) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "task.stride is %lld, more than the window of %lld: tokens between would not be scored",
        (long long)out->stride, (long long)out->window);
}
