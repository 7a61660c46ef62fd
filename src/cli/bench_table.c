#include "cli/bench_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/node.h"
#include "train/report_html.h"

/* ---- Markdown ---- */

void mega_table_head(struct mega_text *to, const struct mega_bench_machine *m)
{
    const struct mega_peak *p = &m->peak;
    mega_text_add(to,
        "%s; load %.2f. Measured here, on one thread: FMA %.0f GFLOP/s, copies "
        "%.1f GB/s",
        m->cpu, m->load, p->fma_one, p->copy_one);
    if (p->threads > 1)
        mega_text_add(
            to, "; on %d: %.0f GFLOP/s, %.1f GB/s", p->threads, p->fma_all, p->copy_all);
    mega_text_add(to, ".\n\n");
    mega_text_add(to,
        "| problem | engine | tokens/s, median (min..max) | step ms | peak MB | utilisation | "
        "over the Transformer | ours over this | load | |\n"
        "|---|---|--:|--:|--:|--:|--:|--:|--:|---|\n");
}

static void add_cell(struct mega_text *to, const char *format, double value)
    __attribute__((format(printf, 2, 0)));

/* a number, or a dash where there is none */
static void add_cell(struct mega_text *to, const char *format, double value)
{
    char cell[64] = "-";
    if (!isnan(value)) snprintf(cell, sizeof cell, format, value);
    mega_text_add(to, " %s |", cell);
}

static void add_speed(struct mega_text *to, const struct mega_row_summary *s)
{
    char median[32], least[32], most[32];
    if (isnan(s->tokens_per_s)) {
        mega_text_add(to, " - |");
        return;
    }
    mega_html_count(llround(s->tokens_per_s), median);
    mega_html_count(llround(s->least), least);
    mega_html_count(llround(s->most), most);
    if (s->least < s->most)
        mega_text_add(to, " %s (%s..%s) |", median, least, most);
    else
        mega_text_add(to, " %s |", median);
}

/* text in a cell: a bar would end it */
static void add_words(struct mega_text *to, const char *text)
{
    for (; *text; text++) mega_text_add(to, *text == '|' ? "\\|" : "%c", *text);
}

void mega_table_row(
    struct mega_text *to, const struct mega_row *row, const struct mega_row_summary *s)
{
    mega_text_add(to, "| %s | %s |", row->subject->name, row->engine->name);
    add_speed(to, s);
    add_cell(to, "%.1f", s->step_ms);
    add_cell(to, "%.0f", s->peak_mb);
    add_cell(to, "%.1f %%", 100 * s->utilisation);
    add_cell(to, "%.2f", s->to_transformer);
    add_cell(to, "%.2f", s->ours);
    add_cell(to, "%.2f", s->load);
    mega_text_add(to, " ");
    add_words(to, row->note);
    mega_text_add(to, " |\n");
}

void mega_table_foot(struct mega_text *to, const struct mega_rows_list *rows, int rounds,
    const struct mega_bench_setup *setup)
{
    double import = NAN;
    for (const struct mega_row *r = rows->item; r < rows->item + rows->n; r++)
        for (int i = 0; i < r->n; i++) import = fmax(import, r->run[i].import_mb);

    mega_text_add(to,
        "\nRounds: %d, each %d steps after %d; threads: %d; float32 unless a row says bf16. "
        "Each run is a process of its own, engines take turns.\n"
        "Ratios are of tokens/s within a round, their median is shown: over the Transformer of "
        "the same length on the same engine, and ours over the peer's.\n"
        "Utilisation: the formulas' FLOPs over time and the FMA peak of float32. Load: the "
        "largest one-minute average before a run.\n",
        rounds, setup->steps, setup->warmup, setup->threads);
    if (!isnan(import))
        mega_text_add(to, "Of a peer's peak memory, importing torch is %.0f MB.\n", import);
}

/* ---- CSV ---- */

static void add_quoted(struct mega_text *to, const char *text)
{
    mega_text_add(to, "\"");
    for (; *text; text++) mega_text_add(to, *text == '"' ? "\"\"" : "%c", *text);
    mega_text_add(to, "\"");
}

static void add_number(struct mega_text *to, double value)
{
    mega_text_add(to, ",");
    if (!isnan(value)) mega_json_add_real(to, value);
}

void mega_table_csv(
    struct mega_text *to, const struct mega_rows_list *rows, const struct mega_bench_machine *m)
{
    mega_text_add(to,
        "problem,model,mode,length,batch,engine,runs,tokens_per_s,min,max,step_ms,peak_mb,"
        "utilisation,over_transformer,ours_over_this,load,note\n");
    for (int i = 0; i < rows->n; i++) {
        const struct mega_row *row = &rows->item[i];
        const struct mega_subject *s = row->subject;
        struct mega_row_summary sum = mega_row_summarise(row, rows, m->peak.fma_all);
        const double numbers[] = { sum.tokens_per_s, sum.least, sum.most, sum.step_ms,
            sum.peak_mb, sum.utilisation, sum.to_transformer, sum.ours, sum.load };
        mega_text_add(to, "%s,%s,%s,%lld,%lld,%s,%d", s->name, mega_subject_model(s),
            mega_subject_mode(s), (long long)s->length, (long long)s->batch, row->engine->name,
            row->n);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            add_number(to, numbers[k]);
        mega_text_add(to, ",");
        add_quoted(to, row->note);
        mega_text_add(to, "\n");
    }
}

/* ---- JSON lines ---- */

static void add_string(struct mega_text *to, const char *key, const char *value)
{
    mega_text_add(to, ", \"%s\": ", key);
    mega_json_add_text(to, value, strlen(value));
}

static void add_value(struct mega_text *to, const char *key, double value)
{
    mega_text_add(to, ", \"%s\": ", key);
    mega_json_add_real(to, value);
}

static void add_machine(struct mega_text *to, const struct mega_bench_machine *m)
{
    mega_text_add(to, "{\"kind\": \"machine\"");
    add_string(to, "processor", m->cpu);
    add_value(to, "load", m->load);
    add_value(to, "threads", m->peak.threads);
    add_value(to, "fma_gflops_1", m->peak.fma_one);
    add_value(to, "fma_gflops_all", m->peak.fma_all);
    add_value(to, "copy_gbs_1", m->peak.copy_one);
    add_value(to, "copy_gbs_all", m->peak.copy_all);
    mega_text_add(to, "}\n");
}

static void add_kind(struct mega_text *to, const char *kind, const struct mega_row *row)
{
    mega_text_add(to, "{\"kind\": \"%s\"", kind);
    add_string(to, "problem", row->subject->name);
    add_string(to, "model", mega_subject_model(row->subject));
    add_string(to, "engine", row->engine->name);
}

void mega_table_jsonl(
    struct mega_text *to, const struct mega_rows_list *rows, const struct mega_bench_machine *m)
{
    add_machine(to, m);
    for (int i = 0; i < rows->n; i++) {
        const struct mega_row *row = &rows->item[i];
        for (const struct mega_bench_run *r = row->run; r < row->run + row->n; r++) {
            add_kind(to, "run", row);
            add_value(to, "round", r->round);
            add_value(to, "load", r->load);
            add_value(to, "seconds", r->seconds);
            mega_text_add(to, ", \"result\": %s}\n", r->line);
        }
        if (!row->given_up) continue;
        add_kind(to, "failure", row);
        add_string(to, "why", row->note);
        mega_text_add(to, "}\n");
    }
}
