/* mega report: one HTML page about one or several runs. */
#ifndef MEGA_TRAIN_REPORT_H
#define MEGA_TRAIN_REPORT_H

#include "base/fail.h"

/* Reads the run folders and writes one page to `out_path`, whole or not at all. The page needs
 * nothing else: drawings are inline SVG, there is no script and nothing is fetched. Read of
 * each folder are log.jsonl, recipe.full.yaml (else recipe.yaml), manifest.json and the header
 * of the newest step-N/model.safetensors (else of model.safetensors in the folder itself); what
 * is missing or broken is said on the page. A folder with none of these is an error. */
mega_status mega_report_write(const char *const *run, int n_runs, const char *out_path);

#endif
