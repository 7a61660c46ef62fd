#include "op/act.h"

#include <math.h>

static const double root_half = 0.70710678118654752440;
static const double root_2_over_pi = 0.79788456080286535588;
static const double cubic = 0.044715;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double tanh_inside(double x)
{
    return tanh(root_2_over_pi * (x + cubic * x * x * x));
}

double mega_act(enum mega_act act, double x)
{
    switch (act) {
    case MEGA_ACT_LINEAR: return x;
    case MEGA_ACT_RELU: return x > 0 ? x : 0;
    case MEGA_ACT_GELU: return 0.5 * x * (1 + erf(x * root_half));
    case MEGA_ACT_GELU_TANH: return 0.5 * x * (1 + tanh_inside(x));
    case MEGA_ACT_SILU: return x * sigmoid(x);
    case MEGA_ACT_SIGMOID: return sigmoid(x);
    case MEGA_ACT_RELU2: return x > 0 ? x * x : 0;
    case MEGA_ACT_TANH: return tanh(x);
    }
    return x;
}

double mega_act_slope(enum mega_act act, double x)
{
    switch (act) {
    case MEGA_ACT_LINEAR: return 1;
    case MEGA_ACT_RELU: return x > 0;
    case MEGA_ACT_GELU: {
        double density = 0.5 * root_2_over_pi * exp(-0.5 * x * x);
        return 0.5 * (1 + erf(x * root_half)) + x * density;
    }
    case MEGA_ACT_GELU_TANH: {
        double t = tanh_inside(x);
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root_2_over_pi * (1 + 3 * cubic * x * x);
    }
    case MEGA_ACT_SILU: {
        double s = sigmoid(x);
        return s + x * s * (1 - s);
    }
    case MEGA_ACT_SIGMOID: {
        double s = sigmoid(x);
        return s * (1 - s);
    }
    case MEGA_ACT_RELU2: return x > 0 ? 2 * x : 0;
    case MEGA_ACT_TANH: {
        double t = tanh(x);
        return 1 - t * t;
    }
    }
    return 1;
}
