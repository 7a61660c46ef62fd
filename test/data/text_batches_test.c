/* Rows and batches of language models: every token once, inputs and targets side by side, the
 * same order whenever it is asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "base/file.h"
#include "base/rng.h"
#include "data/text_batches.h"
#include "format/node.h"

#define HERE "text_batches_files"
enum { END = 256 };

/* ---- a corpus from a text ---- */

struct setting {
    struct mega_corpus *corpus;
    struct mega_slice slice;
    struct mega_text_batching b;
    struct mega_text_batches *batches;
};

static void open_text(struct setting *s, const char *text, int format, int end)
{
    struct mega_corpus_options o;
    const char *path = HERE "/text";
    mega_option_defaults(mega_corpus_options, &o);
    o.format = format;
    o.end_of_document = end;
    o.cache = "none";
    assert_int_equal(mega_folder_make(HERE), MEGA_OK);
    assert_int_equal(mega_file_write(path, text, strlen(text)), MEGA_OK);
    assert_int_equal(mega_corpus_open(&s->corpus, "task.train",
                         &(struct mega_texts){ &path, 1 }, &o, &mega_text_encoder_bytes, NULL),
        MEGA_OK);
    s->slice = (struct mega_slice){ s->corpus, 0, mega_corpus_tokens(s->corpus) };
    s->b = (struct mega_text_batching){
        .batching = { .seed = 7, .rows = 2, .accumulate = 1 },
        .length = 4,
        .least = 1,
        .most = 1,
        .start = end == MEGA_END_EOS ? END : -1,
        .end = end == MEGA_END_EOS ? END : -1,
        .pad = 255,
    };
}

static mega_status plan(struct setting *s, int64_t epoch)
{
    mega_text_batches_close(s->batches);
    return mega_text_batches_open(&s->batches, "task.train", &s->slice, &s->b, epoch);
}

static void done(struct setting *s)
{
    mega_text_batches_close(s->batches);
    mega_corpus_close(s->corpus);
    mega_folder_remove(HERE);
}

/* lines of 0 ... `most` letters, all bytes of the corpus different from their neighbours */
static char *make_lines(int lines, int most)
{
    struct mega_text t = { 0 };
    struct mega_rng g;
    mega_rng_start(&g, 3, 1);
    for (int i = 0, k = 0; i < lines; i++) {
        for (int n = (int)mega_rng_below(&g, (uint32_t)most + 1); n > 0; n--, k++)
            mega_text_add(&t, "%c", 'a' + k % 26);
        mega_text_add(&t, "\n");
    }
    return t.data;
}

/* batch `i` as "input>target ..." a row, "|" between rows; '.' is the end, '_' padding */
static char letter(int32_t id, bool target)
{
    return id == END ? '.' : id == 255 ? '_' : target && id == -1 ? '-' : (char)id;
}

static void batch_is(const struct setting *s, int64_t i, const char *want)
{
    struct mega_text_batch h = { 0 };
    struct mega_text out = { 0 };
    assert_int_equal(mega_text_batch_fill(&h, s->batches, i), MEGA_OK);
    for (int64_t b = 0; b < h.B; b++) {
        mega_text_add(&out, "%s", b ? "|" : "");
        for (int64_t t = 0; t < h.T; t++)
            mega_text_add(&out, "%c", letter(h.id[b * h.T + t], false));
        mega_text_add(&out, ">");
        for (int64_t t = 0; t < h.T; t++)
            mega_text_add(&out, "%c", letter(h.target[b * h.T + t], true));
    }
    assert_string_equal(out.data, want);
    mega_text_done(&out);
    mega_text_batch_done(&h);
}

/* ---- what a row is ---- */

static void joined_documents_are_cut_anywhere(void **state)
{
    (void)state;
    struct setting s = { 0 };
    open_text(&s, "abc\nde\nfghij\n", MEGA_CORPUS_LINES, MEGA_END_EOS);
    assert_int_equal(plan(&s, 0), MEGA_OK);
    /* abc.de.fghij. */
    assert_int_equal(mega_text_batches_count(s.batches), 2);
    batch_is(&s, 0, ".abc>abc.|.de.>de.f");
    batch_is(&s, 1, "fghi>ghij|j___>.---");
    done(&s);
}

static void without_a_start_the_first_token_is_input_alone(void **state)
{
    (void)state;
    struct setting s = { 0 };
    open_text(&s, "abcdefghi", MEGA_CORPUS_FILE, MEGA_END_NONE);
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 0, "abcd>bcde|efgh>fghi");
    struct mega_text_totals t = mega_text_batches_totals(s.batches);
    assert_int_equal(t.tokens, 9);
    assert_int_equal(t.targets, 8);
    assert_int_equal(t.unscored, 1);
    assert_int_equal(t.bytes, 8);
    /* a document of its own each time */
    done(&s);
    s = (struct setting){ 0 };
    open_text(&s, "abc\nd\nfghijk\n", MEGA_CORPUS_LINES, MEGA_END_NONE);
    s.b.rows = MEGA_TEXT_DOCUMENT;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 0, "ab__>bc--|fghi>ghij");
    batch_is(&s, 1, "j>k");
    assert_int_equal(mega_text_batches_totals(s.batches).unscored, 3);
    assert_int_equal(mega_text_batches_totals(s.batches).targets, 7);
    done(&s);
}

static void a_line_a_row(void **state)
{
    (void)state;
    struct setting s = { 0 };
    open_text(&s, "abcdef\n\ngh\n", MEGA_CORPUS_LINES, MEGA_END_EOS);
    s.b.rows = MEGA_TEXT_EOS;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 0, ".abcdef>abcdef.|.______>.------");
    batch_is(&s, 1, ".gh>gh.");
    done(&s);
}

static void whole_lines_fill_a_row(void **state)
{
    (void)state;
    struct setting s = { 0 };
    open_text(&s, "a\nb\nc\ndefghi\nj\n\nkl\n", MEGA_CORPUS_LINES, MEGA_END_EOS);
    s.b.rows = MEGA_TEXT_COMPLETE;
    s.b.length = 5;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 0, ".a.b>a.b.|.c__>c.--");
    batch_is(&s, 1, ".defghi>defghi.|.j.____>j..----");
    batch_is(&s, 2, ".kl>kl.");
    s.b.rows = MEGA_TEXT_COMPLETE_DOC;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 1, ".defghi>defghi.|.j_____>j.-----");
    batch_is(&s, 2, ".kl>kl.");
    assert_int_equal(mega_text_batches_totals(s.batches).dropped, 1);
    s.b.rows = MEGA_TEXT_COMPLETE_DOC_WITH_BOUNDARY;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 1, ".defghi>defghi.|.j.____>j..----");
    assert_int_equal(mega_text_batches_totals(s.batches).dropped, 0);
    done(&s);
}

static void packed_documents_know_where_they_began(void **state)
{
    (void)state;
    struct setting s = { 0 };
    open_text(&s, "abc\nd\nefghijk\nlm\n", MEGA_CORPUS_LINES, MEGA_END_EOS);
    s.b.rows = MEGA_TEXT_PACKED;
    s.b.length = 6;
    s.b.batching.rows = 9;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    /* abc. and d. fill a row; efghijk. comes in pieces, and lm. beside the second one */
    batch_is(&s, 0, ".abc.d>abc.d.|.efghi>efghij|jk.lm_>k.lm.-");
    struct mega_text_batch h = { 0 };
    assert_int_equal(mega_text_batch_fill(&h, s.batches, 0), MEGA_OK);
    static const int32_t doc[] = { 0, 0, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2 };
    assert_memory_equal(h.doc, doc, sizeof doc);
    static const int32_t len[] = { 6, 6, 5 };
    assert_memory_equal(h.len, len, sizeof len);
    mega_text_batch_done(&h);
    done(&s);
}

/* as masked models want them: room for a frame of one place before and one after each */
static void packed_documents_have_room_for_a_frame(void **state)
{
    (void)state;
    struct setting s = { 0 };
    open_text(&s, "abc\nd\nefghijk\nlm\n", MEGA_CORPUS_LINES, MEGA_END_EOS);
    s.b.rows = MEGA_TEXT_PACKED;
    s.b.length = 8;
    s.b.before = s.b.after = 1;
    s.b.batching.rows = 9;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 0, "_.abc__.d_>-abc.--d.-|_.efghijk_>-efghijk.-|_.lm______>-lm.------");
    struct mega_text_batch h = { 0 };
    assert_int_equal(mega_text_batch_fill(&h, s.batches, 0), MEGA_OK);
    static const int32_t doc[] = { 0, 0, 0, 0, 0, 0, 6, 6, 6, 6 };
    assert_memory_equal(h.doc, doc, sizeof doc);
    static const int32_t len[] = { 10, 10, 5 };
    assert_memory_equal(h.len, len, sizeof len);
    assert_int_equal(h.units.tokens, 17);
    mega_text_batch_done(&h);
    done(&s);
}

static void packed_documents_may_begin_at_chunks(void **state)
{
    (void)state;
    struct setting s = { 0 };
    open_text(&s, "ab\ncd\ne\n", MEGA_CORPUS_LINES, MEGA_END_EOS);
    s.b.rows = MEGA_TEXT_PACKED;
    s.b.length = 8;
    s.b.align = 4;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 0, ".ab_.cd>ab.-cd.|.e_____>e.-----");
    struct mega_text_batch h = { 0 };
    assert_int_equal(mega_text_batch_fill(&h, s.batches, 0), MEGA_OK);
    static const int32_t doc[] = { 0, 0, 0, 0, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0 };
    assert_memory_equal(h.doc, doc, sizeof doc);
    assert_int_equal(h.units.tokens, 8);
    assert_int_equal(h.units.targets, 8);
    mega_text_batch_done(&h);
    done(&s);
}

/* ---- laws that every kind obeys ---- */

static struct mega_text_batching law(struct setting *s, int rows, uint64_t variant)
{
    struct mega_text_batching b = s->b;
    b.rows = rows;
    b.length = 16;
    b.batching.rows = 3 + (int64_t)(variant & 3);
    b.batching.accumulate = 1 + (int64_t)(variant & 1);
    b.batching.shuffle = true;
    b.batching.bucket = variant & 2;
    b.batching.tokens = variant & 4 ? 70 : 0;
    b.batching.multiple = variant & 8 ? 4 : 1;
    b.most = variant & 1 ? 3 : 1;
    b.align = variant & 2 ? 4 : 1;
    b.shift = variant & 4;
    b.segment = variant & 16 ? 5 : 0;
    if (variant & 32 && !b.segment && rows != MEGA_TEXT_PACKED) {
        b.window = 7;
        b.stride = 3;
    }
    return b;
}

/* each target's place in the corpus is known by the row's first one: count them all */
static void count_targets(struct setting *s, int *count)
{
    struct mega_text_batch h = { 0 };
    int64_t n = mega_corpus_tokens(s->corpus), targets = 0, bytes = 0;
    int32_t *token = malloc((size_t)n * sizeof *token);
    mega_corpus_read(s->corpus, 0, n, token);
    memset(count, 0, 300 * sizeof *count);
    for (int64_t i = 0; i < mega_text_batches_count(s->batches); i++) {
        assert_int_equal(mega_text_batch_fill(&h, s->batches, i), MEGA_OK);
        int64_t here = 0, used = 0;
        for (int64_t p = 0; p < h.B * h.T; p++) {
            bool real = p % h.T < h.len[p / h.T];
            here += h.target[p] >= 0;
            assert_true(real || h.target[p] == -1);
            assert_true(real || h.id[p] == s->b.pad);
            if (h.target[p] >= 0) count[h.target[p]]++;
            /* an input is the token before, as far as the row holds it */
            if (p % h.T && h.target[p] >= 0 && h.target[p - 1] >= 0 &&
                (!h.doc || h.doc[p] == h.doc[p - 1]))
                assert_int_equal(h.id[p], h.target[p - 1]);
        }
        for (int64_t b = 0; b < h.B; b++) used += h.len[b];
        assert_int_equal(here, h.units.targets);
        assert_true(used >= h.units.tokens);
        struct mega_text_units u = mega_text_batches_units(s->batches, i, 1);
        assert_int_equal(u.targets, h.units.targets);
        assert_int_equal(u.bytes, h.units.bytes);
        assert_int_equal(u.rows, h.B);
        assert_true(h.units.targets > 0 || s->b.segment);
        targets += here;
        bytes += h.units.bytes;
    }
    struct mega_text_totals t = mega_text_batches_totals(s->batches);
    assert_int_equal(t.targets, targets);
    assert_int_equal(t.bytes, bytes);
    assert_int_equal(t.targets + t.unscored + t.dropped, n);
    mega_text_batch_done(&h);
    free(token);
}

static void every_token_is_a_target_once_an_epoch(void **state)
{
    (void)state;
    char *text = make_lines(200, 40);
    for (int end = 0; end < 2; end++)
        for (int rows = MEGA_TEXT_NONE; rows <= MEGA_TEXT_DOCUMENT; rows++)
            for (uint64_t variant = 0; variant < 64; variant++) {
                struct setting s = { 0 };
                int want[300] = { 0 }, got[300];
                open_text(&s, text, MEGA_CORPUS_LINES, end ? MEGA_END_EOS : MEGA_END_NONE);
                s.b = law(&s, rows, variant);
                assert_int_equal(plan(&s, (int64_t)variant), MEGA_OK);
                int64_t n = mega_corpus_tokens(s.corpus);
                bool joined = rows != MEGA_TEXT_EOS && rows < MEGA_TEXT_PACKED;
                for (int64_t i = 0; i < n; i++) {
                    int32_t id;
                    int64_t d = mega_corpus_document_at(s.corpus, i);
                    mega_corpus_read(s.corpus, i, 1, &id);
                    bool begins = joined ? !i : mega_corpus_document(s.corpus, d) == i;
                    if (!begins || end) want[id]++;
                }
                count_targets(&s, got);
                /* empty lines may be dropped where they end documents */
                want[END] -= (int)mega_text_batches_totals(s.batches).dropped;
                assert_memory_equal(want, got, sizeof want);
                done(&s);
            }
    free(text);
}

static uint64_t hash_of_batch(const struct setting *s, int64_t i)
{
    struct mega_text_batch h = { 0 };
    assert_int_equal(mega_text_batch_fill(&h, s->batches, i), MEGA_OK);
    uint64_t a = mega_hash(h.id, (size_t)(h.B * h.T) * sizeof *h.id),
             b = mega_hash(h.target, (size_t)(h.B * h.T) * sizeof *h.target),
             c = mega_hash(h.number, (size_t)h.B * sizeof *h.number);
    mega_text_batch_done(&h);
    return mega_hash_join(mega_hash_join(a, b), c);
}

/* resume: a plan made again, asked from its middle on, gives the same batches */
static void order_is_a_function_of_seed_and_epoch(void **state)
{
    (void)state;
    char *text = make_lines(300, 40);
    for (int rows = MEGA_TEXT_NONE; rows <= MEGA_TEXT_DOCUMENT; rows++) {
        struct setting s = { 0 };
        uint64_t first[500], other = 0, again = 0;
        open_text(&s, text, MEGA_CORPUS_LINES, MEGA_END_EOS);
        s.b = law(&s, rows, 7);
        assert_int_equal(plan(&s, 3), MEGA_OK);
        int64_t n = mega_text_batches_count(s.batches);
        assert_in_range(n, 20, 500);
        for (int64_t i = 0; i < n; i++) first[i] = hash_of_batch(&s, i);
        assert_int_equal(plan(&s, 4), MEGA_OK);
        for (int64_t i = 0; i < mega_text_batches_count(s.batches); i++)
            other = mega_hash_join(other, hash_of_batch(&s, i));
        assert_int_equal(plan(&s, 3), MEGA_OK);
        for (int64_t i = n; i-- > n / 2;) assert_true(hash_of_batch(&s, i) == first[i]);
        for (int64_t i = 0; i < n; i++) again = mega_hash_join(again, first[i]);
        assert_false(again == other);
        s.b.batching.seed++;
        assert_int_equal(plan(&s, 3), MEGA_OK);
        assert_false(hash_of_batch(&s, 0) == first[0]);
        done(&s);
    }
    free(text);
}

static void packed_rows_never_split_what_fits(void **state)
{
    (void)state;
    char *text = make_lines(500, 30);
    struct setting s = { 0 };
    struct mega_text_batch h = { 0 };
    open_text(&s, text, MEGA_CORPUS_LINES, MEGA_END_EOS);
    s.b = law(&s, MEGA_TEXT_PACKED, 0);
    s.b.length = 31;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    int64_t documents = 0, places = 0;
    for (int64_t i = 0; i < mega_text_batches_count(s.batches); i++) {
        assert_int_equal(mega_text_batch_fill(&h, s.batches, i), MEGA_OK);
        places += h.B * h.T;
        for (int64_t b = 0; b < h.B; b++)
            for (int64_t t = 0; t < h.len[b]; t++) {
                int64_t p = b * h.T + t;
                bool last = t + 1 == h.len[b] || h.doc[p + 1] != h.doc[p];
                /* every document begins with the start and ends with the end */
                assert_int_equal(h.target[p] == END, last);
                if (h.doc[p] == t) assert_int_equal(h.id[p], END);
                documents += last;
            }
    }
    assert_int_equal(documents, mega_corpus_documents(s.corpus));
    /* little of it is padding */
    assert_true((double)places < 1.1 * (double)mega_corpus_tokens(s.corpus));
    mega_text_batch_done(&h);
    done(&s);
    free(text);
}

/* ---- Mega LM ---- */

static void lengths_are_multiples_of_the_chunk(void **state)
{
    (void)state;
    char *text = make_lines(3000, 12);
    struct setting s = { 0 };
    struct mega_text_batch h = { 0 };
    int count[5] = { 0 };
    open_text(&s, text, MEGA_CORPUS_LINES, MEGA_END_EOS);
    s.b.rows = MEGA_TEXT_COMPLETE;
    s.b.length = 32;
    s.b.least = 2;
    s.b.most = 4;
    s.b.batching.multiple = 32;
    s.b.batching.rows = 1;
    s.b.batching.shuffle = true;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    for (int64_t i = 0; i < mega_text_batches_count(s.batches); i++) {
        assert_int_equal(mega_text_batch_fill(&h, s.batches, i), MEGA_OK);
        assert_int_equal(h.T % 32, 0);
        assert_int_equal(h.id[0], END); /* a row begins with a line */
        assert_int_equal(h.target[h.len[0] - 1], END);
        count[h.T / 32]++;
    }
    int64_t rows = mega_text_batches_rows(s.batches);
    for (int m = 2; m <= 4; m++) assert_in_range(count[m], rows / 5, rows / 2);
    mega_text_batch_done(&h);
    done(&s);
    free(text);
}

/* spec 13.2: splits of whole lines, side by side, chunk by chunk with the state carried */
static void streams_carry_on_where_they_were(void **state)
{
    (void)state;
    struct setting s = { 0 };
    struct mega_text_batch h = { 0 };
    open_text(&s, "abc\nde\nfghijkl\nm\n", MEGA_CORPUS_LINES, MEGA_END_EOS);
    /* 17 tokens in 2 parts of at most 9: abc.de. / fghijkl. / m. ; complete */
    s.b.rows = MEGA_TEXT_COMPLETE;
    s.b.parts = 2;
    s.b.segment = 4;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    assert_int_equal(mega_text_batches_count(s.batches), 3);
    batch_is(&s, 0, ".abc>abc.|.fgh>fghi");
    batch_is(&s, 1, ".de_>de.-|ijkl>jkl.");
    batch_is(&s, 2, ".m>m.");
    static const struct {
        int begins, ends, fresh, place, len[2];
    } want[] = { { 1, 0, 1, 0, { 4, 4 } }, { 0, 1, 0, 4, { 3, 4 } }, { 1, 1, 1, 0, { 2, 0 } } };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mega_text_batch_fill(&h, s.batches, i), MEGA_OK);
        assert_int_equal(h.begins, want[i].begins);
        assert_int_equal(h.ends, want[i].ends);
        for (int64_t b = 0; b < h.B; b++) {
            assert_int_equal(h.fresh[b], want[i].fresh);
            assert_int_equal(h.place[b], want[i].place);
            assert_int_equal(h.len[b], want[i].len[b]);
        }
    }
    /* a row that has ended waits for the others */
    s.b.rows = MEGA_TEXT_EOS;
    s.b.parts = 0;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 1, ".fgh>fghi|.m__>m.--");
    batch_is(&s, 2, "ijkl>jkl.|____>----");
    assert_int_equal(mega_text_batch_fill(&h, s.batches, 2), MEGA_OK);
    assert_int_equal(h.len[1], 0);
    assert_int_equal(h.place[1], 2);
    mega_text_batch_done(&h);
    done(&s);
}

static void windows_score_every_token_once_with_context(void **state)
{
    (void)state;
    struct setting s = { 0 };
    open_text(&s, "abcdefghij", MEGA_CORPUS_FILE, MEGA_END_NONE);
    s.b.start = END;
    s.b.parts = 1;
    s.b.window = 6;
    s.b.stride = 2;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    batch_is(&s, 0, ".abcde>abcdef|bcdefg>----gh");
    batch_is(&s, 1, "defghi>----ij");
    assert_int_equal(mega_text_batches_totals(s.batches).targets, 10);
    assert_int_equal(mega_text_batches_totals(s.batches).bytes, 10);
    done(&s);
}

/* ---- units ---- */

/* case B17: a batch says beforehand what its update is divided by, however rows are grouped */
static void updates_know_their_targets_beforehand(void **state)
{
    (void)state;
    struct setting s = { 0 };
    struct mega_text_batch h = { 0 };
    struct mega_corpus_options o;
    const char *path = MEGA_SOURCE "/test/cases/b17_two_docs.jsonl";
    mega_option_defaults(mega_corpus_options, &o);
    o.cache = "none";
    assert_int_equal(mega_corpus_open(&s.corpus, "task.train", &(struct mega_texts){ &path, 1 },
                         &o, &mega_text_encoder_bytes, NULL),
        MEGA_OK);
    s.slice = (struct mega_slice){ s.corpus, 0, mega_corpus_tokens(s.corpus) };
    s.b = (struct mega_text_batching){
        .batching = { .rows = 2, .accumulate = 1, .shuffle = true },
        .rows = MEGA_TEXT_DOCUMENT,
        .length = 64,
        .start = END,
        .end = END,
        .pad = END,
    };
    assert_int_equal(plan(&s, 0), MEGA_OK);
    struct mega_text_units u = mega_text_batches_units(s.batches, 0, 1);
    assert_int_equal(u.targets, 11 + 41);
    assert_int_equal(u.bytes, 10 + 40);
    assert_true(u.last);
    s.b.batching.rows = 1;
    s.b.batching.accumulate = 2;
    assert_int_equal(plan(&s, 0), MEGA_OK);
    assert_int_equal(mega_text_batches_updates(s.batches), 1);
    u = mega_text_batches_units(s.batches, 0, 2);
    assert_int_equal(u.passes, 2);
    assert_int_equal(u.targets, 52);
    assert_int_equal(u.rows, 2);
    assert_true(u.last);
    /* rows are numbered over the passes of the update */
    assert_int_equal(mega_text_batch_fill(&h, s.batches, 1), MEGA_OK);
    assert_int_equal(h.number[0], 1);
    mega_text_batch_done(&h);
    mega_text_batches_close(s.batches);
    mega_corpus_close(s.corpus);
}

static void what_is_too_short_or_too_long_is_refused(void **state)
{
    (void)state;
    struct setting s = { 0 };
    open_text(&s, "abcdefghij", MEGA_CORPUS_FILE, MEGA_END_EOS);
    s.b.batching.shuffle = true;
    s.b.length = 12;
    assert_int_equal(plan(&s, 0), MEGA_BAD_ARGUMENT);
    assert_string_equal(mega_message(),
        "task.train: the text has 11 tokens, one row needs 12 (task.length): give more text or "
        "a smaller length");
    s.batches = NULL;
    s.b.batching.shuffle = false; /* a short text can be evaluated */
    assert_int_equal(plan(&s, 0), MEGA_OK);
    s.b.rows = MEGA_TEXT_COMPLETE;
    s.b.batching.longest = 8;
    assert_int_equal(plan(&s, 0), MEGA_BAD_ARGUMENT);
    assert_non_null(
        strstr(mega_message(), "a row of 11 tokens (document 1), the model takes 8"));
    s.batches = NULL;
    done(&s);
    s = (struct setting){ 0 };
    open_text(&s, "a\nb\n", MEGA_CORPUS_LINES, MEGA_END_NONE);
    s.b.rows = MEGA_TEXT_DOCUMENT;
    assert_int_equal(plan(&s, 0), MEGA_BAD_ARGUMENT);
    assert_non_null(strstr(mega_message(), "of 2 tokens none can be scored"));
    s.batches = NULL;
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_documents_are_cut_anywhere),
        cmocka_unit_test(without_a_start_the_first_token_is_input_alone),
        cmocka_unit_test(a_line_a_row),
        cmocka_unit_test(whole_lines_fill_a_row),
        cmocka_unit_test(packed_documents_know_where_they_began),
        cmocka_unit_test(packed_documents_have_room_for_a_frame),
        cmocka_unit_test(packed_documents_may_begin_at_chunks),
        cmocka_unit_test(every_token_is_a_target_once_an_epoch),
        cmocka_unit_test(order_is_a_function_of_seed_and_epoch),
        cmocka_unit_test(packed_rows_never_split_what_fits),
        cmocka_unit_test(lengths_are_multiples_of_the_chunk),
        cmocka_unit_test(streams_carry_on_where_they_were),
        cmocka_unit_test(windows_score_every_token_once_with_context),
        cmocka_unit_test(updates_know_their_targets_beforehand),
        cmocka_unit_test(what_is_too_short_or_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
