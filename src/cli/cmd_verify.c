/* mega verify: computes the outputs stored with a model again. */
#include <stddef.h>

#include "cli/command.h"
#include "cli/session.h"
#include "task/feed.h"
#include "train/reference.h"
#include "train/run_folder.h"

enum { STORED_ROWS = 8 };

struct options {
    bool store;
    const char *reference;
    double tolerance;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "store", MEGA_OPTION_BOOL, AT(store), "false", 0, 0, NULL, NULL,
        "compute outputs and store them with the model, in place of old ones", 0 },
    { "reference", MEGA_OPTION_TEXT, AT(reference), "", 0, 0, NULL, "FILE",
        "compare with the outputs in this file; empty: those stored with the model", 0 },
    { "tolerance", MEGA_OPTION_REAL, AT(tolerance), "2e-5", 0, 1, NULL, "X",
        "largest difference allowed, relative to the largest logit", 0 },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

/* from the first rows of a file, or from pseudo-random texts */
static mega_status store(struct mega_session *s, const char *folder, const char *file)
{
    struct mega_feed *feed;
    struct mega_batch *b;
    if (!file) return mega_reference_store(s->run, s->model, folder);
    MEGA_TRY(mega_session_need_classes(s, "verify --store with a FILE"));
    MEGA_TRY(mega_session_read(s, file, false));
    MEGA_TRY(mega_feed_open(&feed, s->job, MEGA_SPLIT_TEST, STORED_ROWS, 0));
    mega_status status = mega_feed_next(feed, &b);
    if (!status && !b) status = mega_fail(MEGA_BAD_FILE, "%s holds no rows", file);
    if (!status) status = mega_reference_store_texts(s->run, s->model, folder, b);
    mega_feed_close(feed);
    return status;
}

static mega_status compare(struct mega_session *s, const char *folder, const struct options *o)
{
    struct mega_reference found;
    MEGA_TRY(mega_reference_compare(
        s->run, s->model, folder, *o->reference ? o->reference : NULL, &found));
    if (!(found.worst <= o->tolerance))
        return mega_fail(MEGA_BAD_FILE,
            "%s: the outputs differ from the stored ones by %.3g of the largest logit, allowed "
            "are %.3g",
            folder, found.worst, o->tolerance);
    printf("%s: %lld rows agree, worst relative difference %.2g\n", folder,
        (long long)found.rows, found.worst);
    return MEGA_OK;
}

static mega_status verify(struct mega_session *s, const struct mega_line *line)
{
    const struct options *o = line->options;
    const char *file = line->n_words > 1 ? line->word[1] : NULL;
    char folder[1280];
    MEGA_TRY(mega_run_folder_model(line->word[0], folder));
    if (!o->store && file)
        return mega_fail(MEGA_BAD_ARGUMENT, "%s: rows are read only to --store", file);
    if (!o->store) return compare(s, folder, o);
    MEGA_TRY(store(s, folder, file));
    printf("%s/reference.safetensors\n", folder);
    return MEGA_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    struct mega_session s;
    mega_status status = mega_session_open(&s, line->word[0], &o->open, MEGA_SESSION_FLOAT32);
    if (status) return mega_command_fail(status);
    status = verify(&s, line);
    mega_session_close(&s);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_verify = {
    .name = "verify",
    .summary = "Compute the reference outputs stored with a model again and compare",
    .words = "RUN_OR_MODEL [FILE|-]",
    .least = 1,
    .most = 2,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "Training stores reference.safetensors with every checkpoint: a few "
              "pseudo-random texts and the logits of the machine that made it. Another "
              "machine, other kernels (--rooms, --isa) or a damaged file show as a "
              "difference; the command then ends with status 1. With --store, FILE gives rows "
              "as for predict, and the first 8 take the place of the pseudo-random texts.",
    .run = run,
};
