/* Reference cases of the optimiser: schedules (fairseq's and Megalodon's) and updates by Adam.
 */
#ifndef MEGA_TEST_OPTIM_CASE_H
#define MEGA_TEST_OPTIM_CASE_H

#include "format/safetensors.h"
#include "golden/golden.h"

int golden_optim_case(const struct mega_safetensors *s, struct golden_result *r);

#endif
