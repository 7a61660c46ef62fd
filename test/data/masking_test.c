/* Masked tokens: how many are drawn, what becomes of them, that rows are framed, and that no
 * draw depends on the batch. */
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "data/masking.h"
#include "data/text_plan.h"

enum { MASK = 1000 };

static const int32_t before[] = { 101 }, after[] = { 102, 103 };

static struct mega_masking masking(double share, double random, double keep)
{
    return (struct mega_masking){ .options = { share, random, keep },
        .mask = MASK,
        .vocabulary = 50,
        .pad = 7,
        .before = before,
        .after = after,
        .n_before = 1,
        .n_after = 2,
        .key = 11 };
}

static void a_row_has_its_share_and_at_least_one(void **state)
{
    struct mega_masking_options o = { .share = 0.15 };
    (void)state;
    assert_int_equal(mega_masking_count(&o, 0), 0);
    assert_int_equal(mega_masking_count(&o, 1), 1);
    assert_int_equal(mega_masking_count(&o, 6), 1);
    assert_int_equal(mega_masking_count(&o, 10), 2); /* 1.5 rounds up */
    assert_int_equal(mega_masking_count(&o, 510), 77);
    o.share = 1;
    assert_int_equal(mega_masking_count(&o, 9), 9);
}

static void shares_are_kept_over_many_rows(void **state)
{
    enum { N = 100, ROWS = 2000 };
    struct mega_masking m = masking(0.15, 0.1, 0.1);
    int32_t token[N], id[N], target[N];
    int64_t chosen = 0, masked = 0, same = 0, other = 0, at[N] = { 0 };
    (void)state;
    for (int i = 0; i < N; i++) token[i] = 60 + i; /* no random id is one of them */
    for (int64_t row = 0; row < ROWS; row++) {
        int64_t here = 0;
        mega_masking_draw(&m, row, token, N, id, target);
        for (int i = 0; i < N; i++) {
            if (target[i] < 0) {
                assert_int_equal(id[i], token[i]);
                continue;
            }
            assert_int_equal(target[i], token[i]);
            here++;
            at[i]++;
            masked += id[i] == MASK;
            same += id[i] == token[i];
            other += id[i] < 50;
        }
        assert_int_equal(here, 15);
        chosen += here;
    }
    assert_int_equal(masked + same + other, chosen);
    /* four standard deviations of 30000 draws: 208 of 0.1, 277 of 0.8 */
    assert_true(llabs(other - 3000) < 208 && llabs(same - 3000) < 208);
    assert_true(llabs(masked - 24000) < 277);
    /* every place is drawn alike: 300 each, four standard deviations are 64 */
    for (int i = 0; i < N; i++) assert_true(llabs(at[i] - 300) < 64);
}

static void a_draw_is_of_the_key_and_the_row_alone(void **state)
{
    enum { N = 40 };
    struct mega_masking m = masking(0.5, 0.1, 0.1), other = m;
    int32_t token[N], a[N], b[N], target[N];
    (void)state;
    for (int i = 0; i < N; i++) token[i] = i;
    mega_masking_draw(&m, 3, token, N, a, target);
    mega_masking_draw(&m, 3, token, N, b, target);
    assert_memory_equal(a, b, sizeof a);
    mega_masking_draw(&m, 4, token, N, b, target);
    assert_memory_not_equal(a, b, sizeof a);
    other.key = 12;
    mega_masking_draw(&other, 3, token, N, b, target);
    assert_memory_not_equal(a, b, sizeof a);
}

/* rows that were filled: tokens stand behind one free place, two places are free after them */
static void begin(
    struct mega_text_batch *h, const int32_t *tokens, int64_t B, int64_t T, const int64_t *row)
{
    *h = (struct mega_text_batch){ .B = B, .T = T };
    h->id = malloc((size_t)(B * T) * sizeof *h->id);
    h->target = malloc((size_t)(B * T) * sizeof *h->target);
    h->row = malloc((size_t)B * sizeof *h->row);
    for (int64_t i = 0; i < B * T; i++) h->id[i] = 7;
    memcpy(h->target, tokens, (size_t)(B * T) * sizeof *tokens);
    memcpy(h->row, row, (size_t)B * sizeof *row);
}

/* two rows of 4 and 2 tokens in a batch of 7 places */
static void a_batch_is_framed(void **state)
{
    struct mega_masking m = masking(0.25, 0, 0);
    static struct mega_stretch span[10] = { [5] = { 0, 4 }, [9] = { 4, 2 } };
    struct mega_text_batches t = { .rows = { .span = span, .before = 1, .after = 2 } };
    struct mega_text_batch h;
    static const int32_t tokens[] = { -1, 10, 11, 12, 13, -1, -1, -1, 20, 21, -1, -1, -1, -1 };
    static const int64_t lengths[] = { 4, 2 }, numbers[] = { 5, 9 };
    (void)state;
    begin(&h, tokens, 2, 7, numbers);
    mega_masking_apply(&m, &t, &h);
    assert_int_equal(h.units.targets, 2);
    assert_int_equal(h.units.tokens, 6);
    int found[2] = { 0 };
    for (int b = 0; b < 2; b++) {
        const int32_t *id = h.id + 7 * b, *target = h.target + 7 * b;
        int64_t n = lengths[b];
        assert_int_equal(id[0], 101);
        assert_int_equal(id[1 + n], 102);
        assert_int_equal(id[2 + n], 103);
        assert_int_equal(target[0], -1);
        for (int64_t i = 1 + n; i < 7; i++) assert_int_equal(target[i], -1);
        for (int64_t i = 3 + n; i < 7; i++) assert_int_equal(id[i], 7);
        for (int64_t i = 0; i < n; i++) {
            int32_t is = tokens[7 * b + 1 + i];
            assert_int_equal(id[1 + i], target[1 + i] < 0 ? is : MASK);
            if (target[1 + i] < 0) continue;
            assert_int_equal(target[1 + i], is);
            found[b]++;
        }
    }
    assert_int_equal(found[0], 1);
    assert_int_equal(found[1], 1);
    mega_text_batch_done(&h);
}

/* beside one another in a row documents are framed and hidden as each would be by itself */
static void packed_documents_are_hidden_as_alone(void **state)
{
    struct mega_masking m = masking(0.5, 0.2, 0.2);
    static struct mega_stretch span[] = { { 0, 4 }, { 4, 2 } },
                               turned[] = { { 4, 2 }, { 0, 4 } };
    static int64_t first[] = { 0, 2 }, number[] = { 1, 0 };
    struct mega_text_batches alone = { .rows = { .span = span } }, packed = {
        .rows = { .span = turned, .first = first, .number = number }
    };
    struct mega_text_batch a, p;
    static const int32_t rows[] = { -1, 10, 11, 12, 13, -1, -1, -1, 20, 21, -1, -1, -1, -1 },
                         row[] = { -1, 20, 21, -1, -1, -1, 10, 11, 12, 13, -1, -1 };
    (void)state;
    begin(&a, rows, 2, 7, (int64_t[]){ 0, 1 });
    begin(&p, row, 1, 12, (int64_t[]){ 0 });
    mega_masking_apply(&m, &alone, &a);
    mega_masking_apply(&m, &packed, &p);
    assert_memory_equal(p.id, a.id + 7, 5 * sizeof *p.id);
    assert_memory_equal(p.target, a.target + 7, 5 * sizeof *p.target);
    assert_memory_equal(p.id + 5, a.id, 7 * sizeof *p.id);
    assert_memory_equal(p.target + 5, a.target, 7 * sizeof *p.target);
    assert_int_equal(p.units.targets, a.units.targets);
    mega_text_batch_done(&a);
    mega_text_batch_done(&p);
}

static void shares_of_more_than_all_are_refused(void **state)
{
    struct mega_masking_options o = { 0.15, 0.6, 0.5 };
    (void)state;
    assert_int_equal(mega_masking_check(&o), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "task.mask_random is 0.6 and task.mask_keep 0.5"));
    o.keep = 0.4;
    assert_int_equal(mega_masking_check(&o), MEGA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_has_its_share_and_at_least_one),
        cmocka_unit_test(shares_are_kept_over_many_rows),
        cmocka_unit_test(a_draw_is_of_the_key_and_the_row_alone),
        cmocka_unit_test(a_batch_is_framed),
        cmocka_unit_test(packed_documents_are_hidden_as_alone),
        cmocka_unit_test(shares_of_more_than_all_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
