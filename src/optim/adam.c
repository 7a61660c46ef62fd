#include "optim/adam.h"

#include <math.h>

#define AT(member) MEGA_FIELD(struct mega_adam, member)

const struct mega_option mega_adam_options[] = {
    { "beta1", MEGA_OPTION_REAL, AT(beta1), "0.9", 0, 0.9999999, NULL, "X",
        "memory of the gradient's mean (first of --adam-betas)", 0 },
    { "beta2", MEGA_OPTION_REAL, AT(beta2), "0.999", 0, 0.9999999, NULL, "X",
        "memory of the gradient's square (second of --adam-betas)", 0 },
    { "eps", MEGA_OPTION_REAL, AT(eps), "1e-8", 1e-30, 1, NULL, "X",
        "keeps the step finite where gradients vanish (--adam-eps)", 0 },
    { "eps_rule", MEGA_OPTION_CHOICE, AT(eps_rule), "fairseq", 0, 0, "fairseq|pytorch", "NAME",
        "where eps is added: before the bias correction (fairseq, the official Mega) or after "
        "it (pytorch and apex, Megalodon)",
        0 },
    { "weight_decay", MEGA_OPTION_REAL, AT(weight_decay), "0", 0, 1e3, NULL, "X",
        "decoupled decay of every parameter, times the learning rate (--weight-decay)", 0 },
    { "clip_norm", MEGA_OPTION_REAL, AT(clip_norm), "0", 0, 1e30, NULL, "X",
        "the largest gradient norm let through as it is; 0: no clipping (--clip-norm)", 0 },
    { "clip_mode", MEGA_OPTION_CHOICE, AT(clip_mode), "total", 0, 0, "total|each", "NAME",
        "what the norm is taken over: all gradients or each tensor by itself (--clip-mode)",
        0 },
    { 0 }
};

/* what one span's step is made of, the same for all of its elements */
struct step {
    float gradient;           /* scale and clipping */
    float b1, new1, b2, new2; /* weights of old and new */
    float keep;               /* 1 - lr * decay */
    float rate, eps;
};

struct update {
    const struct mega_adam *adam;
    double lr, scale, norm;
    struct mega_flat flat;
};

static double clipped(const struct mega_adam *a, double norm)
{
    return a->clip_norm > 0 ? fmin(1, a->clip_norm / (norm + 1e-6)) : 1;
}

static struct step step_of(const struct update *u, const struct mega_span *span)
{
    const struct mega_adam *a = u->adam;
    double s = (double)(span->steps + 1), lr = u->lr * span->rate;
    double correction1 = 1 - pow(a->beta1, s), root2 = sqrt(1 - pow(a->beta2, s));
    /* with sqrt(v) under root2, pytorch's rule is fairseq's with a smaller eps */
    double eps = a->eps_rule == MEGA_EPS_PYTORCH ? a->eps * root2 : a->eps;
    double norm = a->clip_mode == MEGA_CLIP_EACH ? span->norm : u->norm;
    return (struct step){
        .gradient = (float)(u->scale * clipped(a, norm)),
        .b1 = (float)a->beta1,
        .new1 = (float)(1 - a->beta1),
        .b2 = (float)a->beta2,
        .new2 = (float)(1 - a->beta2),
        .keep = (float)(1 - lr * a->weight_decay * span->decay),
        .rate = (float)(lr * root2 / correction1),
        .eps = (float)eps,
    };
}

static void step_range(struct step k, int64_t n, float *restrict w, float *restrict g,
    float *restrict m, float *restrict v)
{
    for (int64_t i = 0; i < n; i++) {
        float gradient = g[i] * k.gradient;
        float mean = k.b1 * m[i] + k.new1 * gradient;
        float square = k.b2 * v[i] + k.new2 * gradient * gradient;
        m[i] = mean;
        v[i] = square;
        w[i] = w[i] * k.keep - k.rate * mean / (sqrtf(square) + k.eps);
        g[i] = 0;
    }
}

static void step_part(
    void *arg, const struct mega_span *span, int64_t begin, int64_t end, int64_t slot)
{
    (void)slot;
    const struct update *u = arg;
    struct mega_flat f = u->flat;
    if (span->touched)
        step_range(step_of(u, span), end - begin, f.value + begin, f.grad + begin, f.m + begin,
            f.v + begin);
}

void mega_adam_step(struct mega_work *work, const struct mega_adam *adam, double lr,
    double scale, double norm, struct mega_flat flat, struct mega_span *span, int n_spans)
{
    struct update u = { adam, lr, scale, norm, flat };
    mega_span_walk(work, span, n_spans, 10, step_part, &u);
    for (int i = 0; i < n_spans; i++) {
        span[i].steps += span[i].touched;
        span[i].touched = false;
    }
}
