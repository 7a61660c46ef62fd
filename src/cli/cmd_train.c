/* mega train: from a recipe to a run folder. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/dry_run.h"
#include "cli/open.h"
#include "cli/profile.h"
#include "cli/screen.h"
#include "train/bad_step.h"
#include "train/stop.h"
#include "train/trainer.h"

struct options {
    const char *run, *resume, *replay;
    struct mega_texts set;
    bool force, dry_run, quiet, profile;
    int64_t stop_after;
    struct mega_open open;
};

#define AT(member) offsetof(struct options, member)

static const struct mega_option options[] = {
    { "run", MEGA_OPTION_TEXT, AT(run), "", 0, 0, NULL, "FOLDER",
        "run folder; empty: runs/<recipe>-<date>", 0 },
    { "set", MEGA_OPTION_TEXTS, AT(set), "", 0, 0, NULL, "KEY=VALUE",
        "change a key of the recipe; may be given often", 0 },
    { "resume", MEGA_OPTION_TEXT, AT(resume), "no", 0, 0, NULL, "auto|no",
        "auto: go on from the run's newest checkpoint if there is one", 0 },
    { "force", MEGA_OPTION_BOOL, AT(force), "false", 0, 0, NULL, NULL,
        "resume although a changed recipe or other data make it inexact", 0 },
    { "dry-run", MEGA_OPTION_BOOL, AT(dry_run), "false", 0, 0, NULL, NULL,
        "check recipe and data, print parameters, memory and steps, train nothing", 0 },
    { "stop-after", MEGA_OPTION_INT, AT(stop_after), "0", 0, 1e15, NULL, "N",
        "save and leave after update N, as a signal would", 0 },
    { "profile", MEGA_OPTION_BOOL, AT(profile), "false", 0, 0, NULL, NULL,
        "at the end, print on standard error where the time of an update went", 0 },
    { "replay", MEGA_OPTION_TEXT, AT(replay), "", 0, 0, NULL, "FOLDER",
        "repeat a step whose loss was not finite (bad-step-N of a run)", 0 },
    { "quiet", MEGA_OPTION_BOOL, AT(quiet), "false", 0, 0, NULL, NULL,
        "show nothing but errors", 'q' },
    MEGA_OPEN_OPTIONS(AT(open)),
    { 0 },
};

/* "runs/listops-20261125-183000" */
static void default_run(const char *recipe, char out[512])
{
    const char *name = strrchr(recipe, '/');
    name = name ? name + 1 : recipe;
    char date[32];
    time_t now = time(NULL);
    struct tm local;
    strftime(date, sizeof date, "%Y%m%d-%H%M%S", localtime_r(&now, &local));
    snprintf(out, 512, "runs/%.*s-%s", (int)strcspn(name, "."), name, date);
}

static int replay(mega_context *c, const char *folder)
{
    double loss;
    mega_status status = mega_bad_step_replay(c, folder, &loss);
    if (status) return mega_command_fail(status);
    printf("every value is finite; the summed loss is %g\n", loss);
    return MEGA_EXIT_OK;
}

static int train(mega_context *c, const struct options *o, const char *recipe)
{
    char run[512];
    struct mega_profile *profile = NULL;
    bool resume = !strcmp(o->resume, "auto");
    if (!*o->run && resume)
        return mega_command_fail(
            mega_fail(MEGA_BAD_ARGUMENT, "--resume auto needs --run FOLDER"));
    if (!*o->run) default_run(recipe, run);
    if (o->profile && mega_profile_new(&profile)) return mega_command_fail(MEGA_NO_MEMORY);
    if (profile) profile->any_rows = true;
    struct mega_train_request q = {
        .context = c,
        .recipe = recipe,
        .set = &o->set,
        .run = *o->run ? o->run : run,
        .resume = resume,
        .force = o->force,
        .stop_after = o->stop_after,
        .program = "mega",
        .screen = mega_screen_open(o->quiet),
        .profile = profile,
    };
    mega_status status = mega_train(&q);
    mega_screen_close();
    if (profile) mega_profile_show(c, profile, false);
    mega_profile_free(profile);
    return status ? mega_command_fail(status) : MEGA_EXIT_OK;
}

static int run(const struct mega_line *line)
{
    const struct options *o = line->options;
    const char *recipe = line->n_words ? line->word[0] : NULL;
    if (strcmp(o->resume, "auto") != 0 && strcmp(o->resume, "no") != 0)
        return mega_command_fail(
            mega_fail(MEGA_BAD_ARGUMENT, "--resume %s: expected auto or no", o->resume));
    if (!recipe && !*o->replay && strcmp(o->resume, "auto") != 0)
        return mega_command_fail(mega_fail(
            MEGA_BAD_ARGUMENT, "train needs a RECIPE, or --run FOLDER --resume auto"));
    if (o->dry_run) return mega_dry_run(recipe, &o->set, &o->open);
    mega_context *c;
    mega_status status = mega_open_context(&c, &o->open);
    if (status) return mega_command_fail(status);
    mega_stop_listen();
    int result = *o->replay ? replay(c, o->replay) : train(c, o, recipe);
    mega_context_free(c);
    return result;
}

const struct mega_command mega_command_train = {
    .name = "train",
    .summary = "Train a model by a recipe",
    .words = "[RECIPE]",
    .most = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .manual =
        "A recipe names a task, a model and an optimiser (mega help recipe). The run "
        "folder keeps the recipe, log.jsonl, TensorBoard "
        "events, a manifest and the checkpoints step-N/, each a model folder; `best` and "
        "`latest` point at two of them.\n\n"
        "A fresh run never touches a folder that is not empty. --resume auto continues a "
        "run at its newest checkpoint; the final "
        "model is the same, byte for byte, as that of a run that was never stopped.\n\n"
        "On --resume the recipe may differ from the run's own. Obeyed, and said aloud: "
        "optim.*, task.test, model.*dropout, "
        "model.recompute, and of train: epochs, validate_every, valid_batch, save_every, "
        "keep, patience, log_every, time_limit, memory, precision. Refused "
        "unless --force: seed, task.*, the other keys of train (they decide which rows "
        "meet which update), and other data (by their "
        "hash in manifest.json). Always refused: a changed model.\n\n"
        "--profile times every op of every update but the first: a table, slowest first, with "
        "the share of the machine's limit that each reaches (as mega bench ops counts it), "
        "ends the run.\n\n"
        "SIGINT, SIGTERM and SIGUSR1 save and leave, also during validation, with exit "
        "status 75; a second signal changes nothing. "
        "A loss or gradient that is not finite ends the run with status 1, names the "
        "first bad tensor and keeps the step in "
        "bad-step-N/ for --replay.\n\n"
        "The batches left over at the end of an epoch make an update of their own, "
        "divided by the rows (or tokens) that they hold; "
        "the schedule advances once an update.",
    .run = run,
};
