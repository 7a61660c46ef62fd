/* Texts as bytes: TSV without quoting, JSON lines, labels that do not depend on order, splits
 * by hash; batches and the thread that makes them ahead. */
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "data/batches.h"
#include "data/prefetch.h"

#define CASES MEGA_SOURCE "/test/cases/"

static const struct mega_examples_layout named = {
    .label_column = "label", .text_column = "text", .labels = true
};

static mega_status read(
    struct mega_examples *e, const char *text, const struct mega_examples_layout *layout)
{
    return mega_examples_read_text(e, "f", text, strlen(text), layout);
}

static void read_case(struct mega_examples *e, const char *path)
{
    struct mega_text text = { 0 };
    assert_int_equal(mega_file_read(path, &text), MEGA_OK);
    assert_int_equal(mega_examples_read_text(e, path, text.data, text.size, &named), MEGA_OK);
    mega_text_done(&text);
}

static void quotation_marks_mean_nothing(void **state)
{
    (void)state;
    static const int64_t want[] = { 22, 32, 8, 14, 21 };
    struct mega_examples e;
    read_case(&e, CASES "a11_quotes.tsv");
    assert_int_equal(e.n, 5);
    for (int i = 0; i < 5; i++) assert_int_equal(e.start[i + 1] - e.start[i], want[i]);
    mega_examples_done(&e);
}

static void every_byte_counts(void **state)
{
    (void)state;
    static const int32_t want[] = { 98, 1, 99, 256, 100, 227, 129, 169, 101, 12, 102, 13, 103 };
    struct mega_examples e;
    read_case(&e, CASES "a13_bytes.tsv");
    assert_int_equal(e.n, 3);
    assert_int_equal(e.start[2] - e.start[1], 13);
    assert_memory_equal(e.id + e.start[1], want, sizeof want);
    mega_examples_done(&e);
}

static void rows_end_at_lf_or_crlf(void **state)
{
    (void)state;
    struct mega_examples e;
    assert_int_equal(
        read(&e, "\xEF\xBB\xBFlabel\ttext\r\na\tx\ry\r\nb\t\nb\tz", &named), MEGA_OK);
    assert_int_equal(e.n, 3);
    assert_int_equal(e.start[1], 3); /* x CR y */
    assert_int_equal(e.start[2] - e.start[1], 0);
    assert_int_equal(e.start[3] - e.start[2], 1);
    mega_examples_done(&e);
}

static void columns_by_number_need_no_header(void **state)
{
    (void)state;
    struct mega_examples e;
    struct mega_examples_layout layout = {
        .label_column = "1", .text_column = "3", .labels = true, .max_length = 2
    };
    assert_int_equal(read(&e, "0\t3\tabc\n1\t9\tde\n", &layout), MEGA_OK);
    assert_int_equal(e.n, 2);
    assert_int_equal(e.cut, 1);
    assert_int_equal(e.id[1], 'b' + 1);
    mega_examples_done(&e);
    assert_int_equal(read(&e, "0\t3\tabc\n1\t9\n", &layout), MEGA_BAD_FILE);
    assert_string_equal(mega_message(), "f:2: 2 columns, expected at least 3");
    assert_int_equal(read(&e, "lab\ttext\n", &named), MEGA_BAD_FILE);
    assert_non_null(strstr(mega_message(), "no column is called 'label'"));
}

static void json_lines_hold_any_bytes_escaped(void **state)
{
    (void)state;
    struct mega_examples e;
    assert_int_equal(
        read(&e,
            "{\"text\": \"a\\u0000\\t\", \"label\": 1}\n\n{\"label\": \"x\", \"text\": \"\"}\n",
            &named),
        MEGA_OK);
    assert_int_equal(e.n, 2);
    assert_int_equal(e.start[1], 3);
    assert_int_equal(e.id[1], 1);
    mega_examples_done(&e);
    assert_int_equal(read(&e, "{\"text\": 5, \"label\": 1}\n", &named), MEGA_BAD_FILE);
    assert_int_equal(
        read(&e, "{\"text\": \"a\", \"text\": \"b\", \"label\": 1}\n", &named), MEGA_BAD_FILE);
}

/* for the address sanitizer: the last line is blank, and nothing stands behind it */
static void a_blank_last_line_is_not_read_beyond(void **state)
{
    (void)state;
    static const char file[] = "{\"text\": \"a\", \"label\": 1}\n   \t";
    size_t n = sizeof file - 1;
    char *bytes = malloc(n);
    memcpy(bytes, file, n);
    struct mega_examples e;
    assert_int_equal(mega_examples_read_text(&e, "f", bytes, n, &named), MEGA_OK);
    assert_int_equal(e.n, 1);
    mega_examples_done(&e);
    free(bytes);
}

static void labels_do_not_depend_on_order(void **state)
{
    (void)state;
    static const char *const files[] = { "10\ta\n9\tb\n-1\tc\n9\td\n",
        "-1\tc\n9\td\n9\tb\n10\ta\n" };
    struct mega_examples_layout layout = {
        .label_column = "1", .text_column = "2", .labels = true
    };
    for (int i = 0; i < 2; i++) {
        struct mega_examples e;
        struct mega_texts labels;
        assert_int_equal(read(&e, files[i], &layout), MEGA_OK);
        assert_int_equal(mega_labels_collect(&e, &labels), MEGA_OK);
        assert_int_equal(labels.n, 3);
        assert_string_equal(labels.item[0], "-1");
        assert_string_equal(labels.item[1], "9");
        assert_string_equal(labels.item[2], "10");
        assert_int_equal(mega_labels_apply(&e, "f", &labels), MEGA_OK);
        assert_int_equal(e.label[0], i ? 0 : 2);
        labels.n = 2;
        for (int64_t k = 0; k < e.n; k++) e.label[k] = -1;
        assert_int_equal(mega_labels_apply(&e, "f", &labels), MEGA_BAD_FILE);
        assert_non_null(strstr(mega_message(), "the label '10' is not one of the 2"));
        labels.n = 3;
        mega_labels_done(&labels);
        mega_examples_done(&e);
    }
}

/* ---- splits and batches ---- */

static void make_rows(struct mega_examples *e, int64_t n, bool backwards)
{
    int32_t id[64] = { 0 };
    *e = (struct mega_examples){ 0 };
    for (int64_t i = 0; i < n; i++) {
        int64_t k = backwards ? n - 1 - i : i;
        for (int j = 0; j < 64; j++) id[j] = 1 + (int32_t)((k * 7 + j * j) % 200);
        assert_int_equal(mega_examples_add(e, id, 1 + k % 60, 0, "x", 1, i), MEGA_OK);
    }
}

static void a_split_takes_the_same_rows_in_any_order(void **state)
{
    (void)state;
    int64_t sum[2] = { 0 }, held[2];
    for (int i = 0; i < 2; i++) {
        struct mega_examples e, out;
        make_rows(&e, 1000, i);
        assert_int_equal(mega_examples_split(&e, 0.2, &out), MEGA_OK);
        assert_int_equal(e.n + out.n, 1000);
        assert_in_range(out.n, 150, 250);
        held[i] = out.n;
        for (int64_t k = 0; k < out.ids; k++) sum[i] += out.id[k];
        mega_examples_done(&e);
        mega_examples_done(&out);
    }
    assert_int_equal(held[0], held[1]);
    assert_int_equal(sum[0], sum[1]);
}

static void every_row_stands_in_one_batch_of_an_epoch(void **state)
{
    (void)state;
    static const struct mega_batching settings[] = {
        { .rows = 4, .accumulate = 3, .shuffle = true },
        { .rows = 4, .accumulate = 3, .shuffle = true, .bucket = true },
        { .rows = 100, .tokens = 300, .accumulate = 1, .shuffle = true, .bucket = true },
        { .rows = 7, .accumulate = 1 }
    };
    struct mega_examples e;
    make_rows(&e, 50, false);
    for (int i = 0; i < 4; i++) {
        struct mega_plan p = { 0 };
        struct mega_host_batch h = { 0 };
        int seen[50] = { 0 };
        assert_int_equal(mega_plan_make(&p, &settings[i], &e, 2), MEGA_OK);
        if (i < 2) assert_int_equal(p.batches, 13);
        if (i < 2) assert_int_equal(mega_plan_updates(&p), 5);
        for (int64_t b = 0; b < p.batches; b++) {
            assert_int_equal(mega_host_batch_fill(&h, &p, &e, b, 0), MEGA_OK);
            if (settings[i].tokens) assert_true(h.B == 1 || h.B * h.T <= settings[i].tokens);
            for (int64_t k = 0; k < h.B; k++) {
                seen[h.index[k]]++;
                assert_int_equal(h.id[k * h.T + h.len[k] - 1] > 0, 1);
                if (h.len[k] < h.T) assert_int_equal(h.id[k * h.T + h.len[k]], 0);
            }
        }
        for (int k = 0; k < 50; k++) assert_int_equal(seen[k], 1);
        mega_host_batch_done(&h);
        mega_plan_done(&p);
    }
    mega_examples_done(&e);
}

static void rows_are_padded_to_few_lengths(void **state)
{
    (void)state;
    struct mega_batching free_length = { .multiple = 1, .longest = 2002 },
                         chunks = { .multiple = 128 };
    assert_int_equal(mega_padded_length(&free_length, 0), 1);
    assert_int_equal(mega_padded_length(&free_length, 75), 80);
    assert_int_equal(mega_padded_length(&free_length, 2000), 2002);
    assert_int_equal(mega_padded_length(&chunks, 100), 104);
    assert_int_equal(mega_padded_length(&chunks, 128), 128);
    assert_int_equal(mega_padded_length(&chunks, 129), 256);
    assert_int_equal(mega_padded_length(&chunks, 4000), 4096);
}

/* ---- prefetch ---- */

static mega_status make_item(void *arg, int64_t position, int slot)
{
    ((int64_t *)arg)[slot] = position * position;
    return position == 90 ? mega_fail(MEGA_BAD_FILE, "item 90 is bad") : MEGA_OK;
}

static void items_come_in_order_and_failures_in_their_turn(void **state)
{
    (void)state;
    int64_t room[MEGA_PREFETCH_SLOTS];
    struct mega_prefetch *p;
    int slot;
    assert_int_equal(mega_prefetch_start(&p, make_item, room, 10, 13), MEGA_OK);
    for (int64_t i = 10; i < 13; i++) {
        assert_int_equal(mega_prefetch_next(p, &slot), MEGA_OK);
        assert_int_equal(room[slot], i * i);
    }
    assert_int_equal(mega_prefetch_next(p, &slot), MEGA_OK);
    assert_int_equal(slot, -1);
    mega_prefetch_stop(p);
    assert_int_equal(mega_prefetch_start(&p, make_item, room, 88, -1), MEGA_OK);
    assert_int_equal(mega_prefetch_next(p, &slot), MEGA_OK);
    assert_int_equal(mega_prefetch_next(p, &slot), MEGA_OK);
    assert_int_equal(mega_prefetch_next(p, &slot), MEGA_BAD_FILE);
    assert_string_equal(mega_message(), "item 90 is bad");
    mega_prefetch_stop(p);
    for (int i = 0; i < 50; i++) { /* stopped at any moment */
        assert_int_equal(mega_prefetch_start(&p, make_item, room, 0, -1), MEGA_OK);
        if (i % 2) assert_int_equal(mega_prefetch_next(p, &slot), MEGA_OK);
        mega_prefetch_stop(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotation_marks_mean_nothing),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(rows_end_at_lf_or_crlf),
        cmocka_unit_test(columns_by_number_need_no_header),
        cmocka_unit_test(json_lines_hold_any_bytes_escaped),
        cmocka_unit_test(a_blank_last_line_is_not_read_beyond),
        cmocka_unit_test(labels_do_not_depend_on_order),
        cmocka_unit_test(a_split_takes_the_same_rows_in_any_order),
        cmocka_unit_test(every_row_stands_in_one_batch_of_an_epoch),
        cmocka_unit_test(rows_are_padded_to_few_lengths),
        cmocka_unit_test(items_come_in_order_and_failures_in_their_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
