/* mega verify: computes the outputs stored with a model again. */
#include <stddef.h>

#include "cli/command.h"
#include "cli/open.h"
#include "train/reference.h"
#include "train/run_folder.h"

struct options {
    bool store;
    double tolerance;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "store", MEGA_OPTION_BOOL, AT(store), "false", 0, 0, NULL, NULL,
        "compute outputs and store them with the model, in place of old ones", 0 },
    { "tolerance", MEGA_OPTION_REAL, AT(tolerance), "2e-5", 0, 1, NULL, "X",
        "largest difference allowed, relative to the largest logit", 0 },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

static mega_status verify(mega_context *c, const char *given, const struct options *o)
{
    char folder[1280];
    mega_model *m = NULL;
    mega_run *r = NULL;
    struct mega_reference found;
    MEGA_TRY(mega_run_folder_model(given, folder));
    mega_status status = mega_model_load(&m, folder);
    if (!status) status = mega_run_new(&r, c);
    if (!status)
        status = o->store ? mega_reference_store(r, m, folder)
                          : mega_reference_compare(r, m, folder, &found);
    if (!status && o->store)
        printf("%s/reference.safetensors\n", folder);
    else if (!status && found.worst <= o->tolerance)
        printf("%s: %lld rows agree, worst relative difference %.2g\n", folder,
            (long long)found.rows, found.worst);
    else if (!status)
        status = mega_fail(MEGA_BAD_FILE,
            "%s: the outputs differ from the stored ones by %.3g of the largest logit, allowed "
            "are %.3g",
            folder, found.worst, o->tolerance);
    mega_run_free(r);
    mega_model_free(m);
    return status;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    mega_context *c;
    mega_status status = mega_open_context(&c, &o->open);
    if (status) return mega_command_fail(status);
    status = verify(c, line->word[0], o);
    mega_context_free(c);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

const struct mega_command mega_command_verify = {
    .name = "verify",
    .summary = "Compute the reference outputs stored with a model again and compare",
    .words = "RUN_OR_MODEL",
    .least = 1,
    .most = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual = "Training stores reference.safetensors with every checkpoint: a few "
              "pseudo-random texts and the logits of the machine that made "
              "it. Another machine, other kernels (--rooms, --isa) or a damaged file show as a "
              "difference.",
    .run = run,
};
