/* The splits of a recipe: from files of their own, or by position. */
#include <stdlib.h>
#include <string.h>

#include "data/corpus.h"

static const char *const what[] = { "task.train", "task.valid", "task.test" };

/* where the text is cut so that `share` of it lies behind */
static int64_t cut_at(const struct mega_corpus *c, double share)
{
    int64_t tokens = mega_corpus_tokens(c);
    if (share <= 0) return tokens;
    /* a share of 0.1 keeps 9 of 10, whatever 1 - 0.1 is in binary */
    int64_t at = (int64_t)((1 - share) * (double)tokens + 1e-6);
    if (at >= tokens) return tokens;
    int64_t i = mega_corpus_document_at(c, at), begin = mega_corpus_document(c, i),
            end = mega_corpus_document(c, i + 1);
    return (double)(end - begin) > share * (double)tokens ? at : begin;
}

mega_status mega_corpus_share(const struct mega_corpus *c, const char *name, double hold_out,
    double test_share, struct mega_slice out[3])
{
    int64_t tokens = mega_corpus_tokens(c), test = cut_at(c, test_share),
            valid = hold_out > 0 ? cut_at(c, hold_out + test_share) : test;
    if (valid > test) valid = test;
    out[0] = (struct mega_slice){ c, 0, valid };
    out[1] = (struct mega_slice){ c, valid, test };
    out[2] = (struct mega_slice){ c, test, tokens };
    const char *empty = valid == 0                         ? "training"
                        : hold_out > 0 && valid == test    ? "validation"
                        : test_share > 0 && test == tokens ? "test"
                                                           : NULL;
    if (!empty) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "%s: of %lld tokens in %lld documents nothing is left for %s with task.hold_out %g and "
        "task.test_share %g",
        name, (long long)tokens, (long long)mega_corpus_documents(c), empty, hold_out,
        test_share);
}

struct mega_corpora {
    struct mega_corpus_options options;
    struct mega_text_encoder encoder;
    struct mega_log log;
    struct mega_corpus *corpus[3];
};

mega_status mega_corpora_open(struct mega_corpora **out,
    const struct mega_corpus_options *options, const struct mega_text_encoder *encoder,
    const struct mega_log *log)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return mega_fail(MEGA_NO_MEMORY, "no memory for the splits of a corpus");
    (*out)->options = *options;
    (*out)->encoder = *encoder;
    if (log) (*out)->log = *log;
    return MEGA_OK;
}

void mega_corpora_close(struct mega_corpora *c)
{
    if (!c) return;
    for (int i = 0; i < 3; i++) mega_corpus_close(c->corpus[i]);
    free(c);
}

static bool is_given(const struct mega_texts *files)
{
    for (int i = 0; i < files->n; i++)
        if (*files->item[i]) return true;
    return false;
}

static mega_status open_split(struct mega_corpora *c, int split, const struct mega_texts *files)
{
    if (c->corpus[split]) return MEGA_OK;
    return mega_corpus_open(
        &c->corpus[split], what[split], files, &c->options, &c->encoder, &c->log);
}

mega_status mega_corpora_slice(struct mega_corpora *c, int split, struct mega_slice *out)
{
    const struct mega_corpus_options *o = &c->options;
    const struct mega_texts *files[] = { &o->train, &o->valid, &o->test };
    if (split > 0 && is_given(files[split])) {
        MEGA_TRY(open_split(c, split, files[split]));
        *out = (struct mega_slice){ c->corpus[split], 0, mega_corpus_tokens(c->corpus[split]) };
        return MEGA_OK;
    }
    double hold_out = is_given(files[1]) ? 0 : o->hold_out,
           test_share = is_given(files[2]) ? 0 : o->test_share;
    if (split > 0 && (split == 1 ? hold_out : test_share) <= 0)
        return mega_fail(MEGA_BAD_ARGUMENT, "%s: no file is given, and task.%s is 0",
            what[split], split == 1 ? "hold_out" : "test_share");
    struct mega_slice slice[3];
    MEGA_TRY(open_split(c, 0, files[0]));
    MEGA_TRY(mega_corpus_share(c->corpus[0], what[0], hold_out, test_share, slice));
    *out = slice[split];
    return MEGA_OK;
}
