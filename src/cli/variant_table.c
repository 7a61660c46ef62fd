#include "cli/variant_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/machine.h"
#include "cli/median.h"
#include "format/node.h"
#include "model/variants.h"
#include "train/report_html.h"

enum { SEEDS = 64 };

/* What a line says: means over seeds, with standard deviations; NaN where nothing is known. */
struct summary {
    int n;
    double loss, loss_sd, bits;
    double over, over_sd;       /* loss less the base's of the same seed */
    double tokens_per_s, speed; /* median; the median ratio to the base's of the same seed */
    double peak_mb, memory;     /* the largest; over the base's */
    double parameters, tokens;
    const char *note;
};

static double mean(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return n ? sum / n : NAN;
}

/* of a sample; NaN of less than two */
static double deviation(const double *x, int n)
{
    double m = mean(x, n), sum = 0;
    for (int i = 0; i < n; i++) sum += (x[i] - m) * (x[i] - m);
    return n > 1 ? sqrt(sum / (n - 1)) : NAN;
}

static double largest_peak(const struct mega_variant_run *r, int seeds)
{
    double most = NAN;
    for (int i = 0; i < seeds; i++)
        if (r[i].done) most = fmax(most, r[i].peak_mb);
    return most;
}

static struct summary summarise(const struct mega_variant_runs *runs, int v)
{
    const struct mega_variant_run *base = runs->item, *r = runs->item + v * runs->seeds;
    double loss[SEEDS], bits[SEEDS], over[SEEDS], speed[SEEDS], ratio[SEEDS];
    struct summary s = { .note = "", .parameters = NAN, .tokens = NAN };
    int pairs = 0;
    for (int i = 0; i < runs->seeds && i < SEEDS; i++) {
        if (*r[i].note) s.note = r[i].note;
        if (!r[i].done) continue;
        loss[s.n] = r[i].loss;
        bits[s.n] = r[i].bits_per_byte;
        speed[s.n++] = r[i].tokens_per_s;
        s.parameters = r[i].parameters;
        s.tokens = r[i].tokens;
        if (!base[i].done) continue;
        over[pairs] = r[i].loss - base[i].loss;
        ratio[pairs++] = r[i].tokens_per_s / base[i].tokens_per_s;
    }
    s.loss = mean(loss, s.n);
    s.loss_sd = deviation(loss, s.n);
    s.bits = mean(bits, s.n);
    s.over = mean(over, pairs);
    s.over_sd = deviation(over, pairs);
    s.tokens_per_s = mega_median(speed, s.n);
    s.speed = mega_median(ratio, pairs);
    s.peak_mb = largest_peak(r, runs->seeds);
    s.memory = s.peak_mb / largest_peak(base, runs->seeds);
    return s;
}

static const char *executor_of(const char *name)
{
    const struct mega_variant *v = mega_variant_find(name);
    return v && *v->executor ? v->executor : "tiles";
}

/* ---- Markdown ---- */

/* "1.234 ± 0.005", "1.234" where there is no spread */
static void add_spread(struct mega_text *to, const char *sign, double value, double sd)
{
    if (isnan(value))
        mega_text_add(to, " -");
    else
        mega_text_add(to, *sign ? " %+.4f" : " %.4f", value);
    if (!isnan(sd)) mega_text_add(to, " ± %.4f", sd);
    mega_text_add(to, " |");
}

static void add_count(struct mega_text *to, double value)
{
    char text[32] = "-";
    if (!isnan(value)) mega_html_count(llround(value), text);
    mega_text_add(to, " %s |", text);
}

static void add_ratio(struct mega_text *to, double value)
{
    if (isnan(value))
        mega_text_add(to, " - |");
    else
        mega_text_add(to, " %.2f |", value);
}

/* what the trainings were; the base may have failed, or all of them */
static void add_footer(struct mega_text *to, const struct mega_variant_runs *runs)
{
    char cpu[128];
    double tokens = NAN;
    mega_machine_cpu(cpu);
    for (int v = 0; v < runs->variants && isnan(tokens); v++)
        tokens = summarise(runs, v).tokens;
    mega_text_add(to, "\n%s. %d seed%s", cpu, runs->seeds, runs->seeds == 1 ? "" : "s");
    if (isnan(tokens)) {
        mega_text_add(to, "; no training was finished: the last column says why.\n");
        return;
    }
    mega_text_add(to,
        ", each for %.0f tokens. Loss: nats a token at the last validation, mean and standard "
        "deviation over seeds; less the base's: of the same seed. Speed: median over updates, "
        "then over seeds. Runs take turns, seed by seed.\n",
        tokens);
}

void mega_variant_table_markdown(struct mega_text *to, const struct mega_variant_runs *runs)
{
    mega_text_add(to,
        "| variant | parameters | loss | less the base's | bits a byte | tokens/s | over the "
        "base | peak MB | over the base | attention by | |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|---|\n");
    for (int v = 0; v < runs->variants; v++) {
        const char *name = runs->item[v * runs->seeds].name;
        struct summary s = summarise(runs, v);
        mega_text_add(to, "| %s |", name);
        add_count(to, s.parameters);
        add_spread(to, "", s.loss, s.loss_sd);
        add_spread(to, "+", v ? s.over : NAN, v ? s.over_sd : NAN);
        add_spread(to, "", s.bits, NAN);
        add_count(to, s.tokens_per_s);
        add_ratio(to, s.speed);
        add_count(to, s.peak_mb);
        add_ratio(to, s.memory);
        mega_text_add(to, " %s | ", executor_of(name));
        for (const char *p = s.note; *p; p++) mega_text_add(to, *p == '|' ? "\\|" : "%c", *p);
        mega_text_add(to, " |\n");
    }
    add_footer(to, runs);
}

/* ---- CSV, JSON lines ---- */

static void add_number(struct mega_text *to, double value)
{
    mega_text_add(to, ",");
    if (!isnan(value)) mega_json_add_real(to, value);
}

void mega_variant_table_csv(struct mega_text *to, const struct mega_variant_runs *runs)
{
    mega_text_add(to,
        "variant,seeds,parameters,tokens,loss,loss_sd,less_base,less_base_sd,bits_per_byte,"
        "tokens_per_s,speed_over_base,peak_mb,memory_over_base,attention,note\n");
    for (int v = 0; v < runs->variants; v++) {
        const char *name = runs->item[v * runs->seeds].name;
        struct summary s = summarise(runs, v);
        const double numbers[] = { s.parameters, s.tokens, s.loss, s.loss_sd, s.over, s.over_sd,
            s.bits, s.tokens_per_s, s.speed, s.peak_mb, s.memory };
        mega_text_add(to, "%s,%d", name, s.n);
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            add_number(to, numbers[i]);
        mega_text_add(to, ",%s,\"", executor_of(name));
        for (const char *p = s.note; *p; p++) mega_text_add(to, *p == '"' ? "\"\"" : "%c", *p);
        mega_text_add(to, "\"\n");
    }
}

void mega_variant_table_jsonl(struct mega_text *to, const struct mega_variant_runs *runs)
{
    for (int i = 0; i < runs->variants * runs->seeds; i++)
        if (runs->item[i].done || *runs->item[i].note)
            mega_variant_run_print(&runs->item[i], to);
}
