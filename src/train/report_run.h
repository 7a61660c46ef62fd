/* A run folder as the report sees it. */
#ifndef MEGA_TRAIN_REPORT_RUN_H
#define MEGA_TRAIN_REPORT_RUN_H

#include "format/node.h"
#include "format/safetensors.h"
#include "train/report_log.h"

struct mega_report_run {
    const char *folder; /* borrowed */
    char label[256];    /* the last part of its path */
    struct mega_run_log log;
    struct mega_text recipe;       /* as text; empty if absent */
    struct mega_document settings; /* the recipe as a tree; root NULL if absent or broken */
    struct mega_document manifest; /* root NULL if absent or broken */
    struct mega_safetensors model; /* n 0 if absent or broken */
    char model_path[256];          /* below the folder ("step-000750/model.safetensors") */
    struct mega_text missing;      /* what is absent or broken: lines for people */
};

/* Reads what there is; the only failures are a folder that is none or holds nothing of a run,
 * and memory. */
mega_status mega_report_run_open(struct mega_report_run *run, const char *folder);
void mega_report_run_close(struct mega_report_run *run);

#endif
