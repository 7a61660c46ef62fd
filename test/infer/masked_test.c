/* Masked tokens told by a BERT: logits of single places are those of the whole model, and texts
 * with masks become candidates with probabilities. */
#include "infer/masked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "model/foreign.h"

enum { B = 2, T = 6, V = 11 };

extern const struct mega_tokenizer_kind mega_tokenizer_kind_wordpiece;

struct bert {
    mega_context *context;
    mega_run *run;
    struct mega_foreign foreign;
    mega_tokenizer *tokenizer;
};

static void must(mega_status status)
{
    if (status) print_error("%s\n", mega_message());
    assert_int_equal(status, MEGA_OK);
}

static void open_bert(struct bert *b)
{
    static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n##d\n.\ne\n";
    must(mega_context_new(&b->context, NULL));
    must(mega_run_new(&b->run, b->context));
    must(mega_foreign_load(&b->foreign, MEGA_SOURCE "/test/model/bert", NULL, NULL));
    must(mega_tokenizer_read(&b->tokenizer, &mega_tokenizer_kind_wordpiece, "vocab.txt",
        vocabulary, sizeof vocabulary - 1));
}

static void close_bert(struct bert *b)
{
    mega_tokenizer_close(b->tokenizer);
    mega_foreign_done(&b->foreign);
    mega_run_free(b->run);
    mega_context_free(b->context);
}

/* logits of all places, by the whole model */
static void all_logits(
    struct bert *b, int32_t *id, int64_t rows, int64_t places, const int32_t *len, float *out)
{
    struct mega_masked_model_ends ends;
    mega_tensor ids = mega_tensor_over(id, MEGA_I32, 2, (int64_t[]){ rows, places });
    struct mega_rows r = { .B = rows, .T = places, .len = len };
    must(mega_run_begin(b->run, &(struct mega_run_args){ 0 }));
    mega_masked_model_run(b->run, &b->foreign.model->masked, mega_run_input(b->run, &ids), NULL,
        mega_run_rows(b->run, &r), &ends);
    must(mega_run_read(b->run, ends.logits, out));
    must(mega_run_end(b->run));
}

struct taken {
    const float *want; /* [places, V] */
    int64_t place[B * T];
    int n;
};

static void take(void *arg, int64_t place, const float *logits, int64_t classes)
{
    struct taken *t = arg;
    assert_int_equal(classes, V);
    t->place[t->n++] = place;
    for (int64_t j = 0; j < V; j++)
        assert_true(fabs((double)logits[j] - (double)t->want[place * V + j]) < 1e-5);
}

static void places_that_are_asked_for_have_the_models_logits(void **state)
{
    struct bert b;
    int32_t id[B * T] = { 2, 5, 4, 6, 9, 3, 2, 4, 7, 3, 0, 0 };
    static const int32_t len[B] = { 6, 4 },
                         wanted[B * T] = { -1, -1, 7, -1, -1, -1, -1, 10, 3, -1, -1, -1 };
    float want[B * T * V];
    struct taken t = { .want = want };
    (void)state;
    open_bert(&b);
    all_logits(&b, id, B, T, len, want);
    mega_tensor ids = mega_tensor_over(id, MEGA_I32, 2, (int64_t[]){ B, T });
    struct mega_rows rows = { .B = B, .T = T, .len = len };
    must(mega_masked_logits(b.run, b.foreign.model, &ids, &rows, wanted, take, &t));
    assert_int_equal(t.n, 3);
    assert_int_equal(t.place[0], 2);
    assert_int_equal(t.place[1], 7);
    assert_int_equal(t.place[2], 8);
    close_bert(&b);
}

static void a_mask_has_candidates_with_probabilities(void **state)
{
    struct bert b;
    struct mega_filling f;
    static const char text[] = "A [MASK]d.";
    int32_t id[] = { 2, 5, 4, 1, 9, 3 };
    float logit[6 * V];
    double sum = 0, all = 0;
    (void)state;
    open_bert(&b);
    struct mega_fill_options o = { .top = 100, .last = -1 };
    must(mega_fill_text(&f, b.run, b.foreign.model, b.tokenizer, text, sizeof text - 1, &o));
    /* "d" is no word of the vocabulary, whatever stands before it */
    assert_int_equal(f.ids.n, 6);
    assert_memory_equal(f.ids.id, id, sizeof id);
    assert_int_equal(f.masks, 1);
    assert_int_equal(f.place[0], 2);
    assert_int_equal(f.top, V);
    all_logits(&b, id, 1, 6, NULL, logit);
    for (int j = 0; j < V; j++) all += exp((double)logit[2 * V + j]);
    for (int k = 0; k < V; k++) {
        double want = exp((double)logit[2 * V + f.best[k].id]) / all;
        assert_true(fabs(f.best[k].probability - want) < 1e-6);
        assert_true(!k || f.best[k - 1].probability >= f.best[k].probability);
        sum += f.best[k].probability;
    }
    assert_true(fabs(sum - 1) < 1e-9);
    struct mega_text filled = { 0 };
    must(mega_filling_text(&f, b.tokenizer, 0, 6, &filled));
    assert_string_equal(filled.data, "a b [UNK].");
    must(mega_filling_text(&f, b.tokenizer, 0, 8, &filled));
    assert_string_equal(filled.data, "ad [UNK].");
    mega_text_done(&filled);
    mega_filling_done(&f);
    close_bert(&b);
}

static void the_best_candidates_come_first_of_each_mask(void **state)
{
    struct bert b;
    struct mega_filling all, few;
    static const char text[] = "[MASK][MASK] b [SEP]";
    (void)state;
    open_bert(&b);
    struct mega_fill_options o = { .top = V, .last = -1 };
    must(mega_fill_text(&all, b.run, b.foreign.model, b.tokenizer, text, sizeof text - 1, &o));
    /* [SEP] in a text is text: three words that are not known */
    assert_int_equal(all.ids.n, 8);
    mega_filling_done(&all);
    o.specials = true;
    must(mega_fill_text(&all, b.run, b.foreign.model, b.tokenizer, text, sizeof text - 1, &o));
    assert_int_equal(all.ids.n, 6);
    o.top = 3;
    must(mega_fill_text(&few, b.run, b.foreign.model, b.tokenizer, text, sizeof text - 1, &o));
    assert_int_equal(few.masks, 2);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++)
            assert_int_equal(few.best[3 * i + k].id, all.best[V * i + k].id);
    mega_filling_done(&all);
    mega_filling_done(&few);
    close_bert(&b);
}

static void what_cannot_be_filled_is_refused(void **state)
{
    struct bert b;
    struct mega_filling f;
    struct mega_fill_options o = { .top = 1, .last = -1 };
    static const char none[] = "a b", many[] = "a a a a a a a [MASK]";
    (void)state;
    open_bert(&b);
    assert_int_equal(
        mega_fill_text(&f, b.run, b.foreign.model, b.tokenizer, none, sizeof none - 1, &o),
        MEGA_BAD_ARGUMENT);
    assert_string_equal(
        mega_message(), "the text has no [MASK]: expected one where a token is to be found");
    assert_int_equal(
        mega_fill_text(&f, b.run, b.foreign.model, b.tokenizer, many, sizeof many - 1, &o),
        MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(), "the text has 10 tokens, the model takes 9");
    close_bert(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_that_are_asked_for_have_the_models_logits),
        cmocka_unit_test(a_mask_has_candidates_with_probabilities),
        cmocka_unit_test(the_best_candidates_come_first_of_each_mask),
        cmocka_unit_test(what_cannot_be_filled_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
