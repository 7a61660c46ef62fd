/* A recipe's keys as settings of batches, for training and for evaluation. */
#include "cmocka_all.h"

#include "data/text_batches.h"
#include "format/node.h"

enum { END = 256 };

static void recipes_become_settings(void **state)
{
    (void)state;
    struct mega_corpus_options o;
    struct mega_text_batching b;
    struct mega_batching rest = { .seed = 1, .rows = 8, .accumulate = 4, .bucket = true };
    struct mega_text_encoder e = mega_text_encoder_bytes;
    mega_option_defaults(mega_corpus_options, &o);
    o.length = 1024;
    o.least = 2;
    o.most = 6;
    o.streams = 10;
    o.rows = MEGA_TEXT_COMPLETE;
    assert_int_equal(mega_text_batching_train(&b, &o, &e, &rest), MEGA_OK);
    assert_true(b.batching.shuffle && b.batching.bucket && !b.parts && !b.segment);
    assert_int_equal(b.start, END);
    assert_int_equal(b.end, END);
    o.segment = 2048;
    assert_int_equal(mega_text_batching_evaluate(&b, &o, &e, &rest), MEGA_OK);
    assert_true(!b.batching.shuffle && b.parts == 10 && b.segment == 2048);
    assert_int_equal(b.rows, MEGA_TEXT_COMPLETE);
    o.evaluate = MEGA_EVALUATE_WINDOW;
    assert_int_equal(mega_text_batching_evaluate(&b, &o, &e, &rest), MEGA_OK);
    assert_true(b.window == 2048 && b.stride == 1024 && !b.segment);
    o.stride = 2049;
    assert_int_equal(mega_text_batching_evaluate(&b, &o, &e, &rest), MEGA_BAD_ARGUMENT);
    o.stride = 0;
    o.rows = MEGA_TEXT_PACKED;
    o.evaluate = MEGA_EVALUATE_STREAM;
    assert_int_equal(mega_text_batching_evaluate(&b, &o, &e, &rest), MEGA_OK);
    assert_true(b.rows == MEGA_TEXT_EOS && !b.parts && b.segment == 2048);
    e.bos = -1;
    o.start = MEGA_START_BOS;
    assert_int_equal(mega_text_batching_train(&b, &o, &e, &rest), MEGA_BAD_ARGUMENT);
    o.start = MEGA_START_NONE;
    assert_int_equal(mega_text_batching_train(&b, &o, &e, &rest), MEGA_OK);
    assert_int_equal(b.start, -1);
    o.most = 1;
    assert_int_equal(mega_text_batching_train(&b, &o, &e, &rest), MEGA_BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipes_become_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
