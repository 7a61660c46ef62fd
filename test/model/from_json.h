/* A model that is described as in config.json, for tests. */
#ifndef TEST_MODEL_FROM_JSON_H
#define TEST_MODEL_FROM_JSON_H

#include <string.h>

#include "model/model.h"

#include "cmocka_all.h"

static inline mega_status model_try(mega_model **m, const char *json, bool gradients)
{
    struct mega_model_config c;
    struct mega_document d;
    *m = NULL;
    assert_int_equal(mega_json_parse(&d, "config.json", json, strlen(json)), MEGA_OK);
    mega_status status = mega_model_config_parse(&c, &d);
    if (!status) status = mega_model_new(m, &c, true, gradients);
    if (status)
        mega_document_done(&d);
    else
        (*m)->document = d;
    return status;
}

static inline mega_model *model_from_json(const char *json, bool gradients)
{
    mega_model *m;
    if (model_try(&m, json, gradients)) fail_msg("%s", mega_message());
    return m;
}

#endif
