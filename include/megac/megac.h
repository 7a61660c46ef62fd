/* Everything of mega.c in one header. */
#ifndef MEGAC_MEGAC_H
#define MEGAC_MEGAC_H

#include "megac/context.h"
#include "megac/generate.h"
#include "megac/log.h"
#include "megac/model.h"
#include "megac/predictor.h"
#include "megac/status.h"
#include "megac/tokenizer.h"

#endif
