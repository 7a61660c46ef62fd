/* A whole language model built from a case's configuration. */
#ifndef MEGA_TEST_LANGUAGE_CASE_H
#define MEGA_TEST_LANGUAGE_CASE_H

#include "golden/case.h"
#include "model/model.h"

/* Of Mega's own language model. */
struct mega_model_config golden_language_config(struct golden_case *c);

/* Of Megalodon. */
struct mega_model_config golden_megalodon_config(struct golden_case *c);

#endif
