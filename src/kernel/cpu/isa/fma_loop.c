/* The arithmetic peak: independent chains of multiply-adds that stay in registers. */
#include "kernel/cpu/fma_loop.h"

#if defined(MEGA_ISA_avx512)
enum { LANES = 16, CHAINS = 24 };
#elif defined(MEGA_ISA_avx2)
enum { LANES = 8, CHAINS = 12 };
#else
enum { LANES = 4, CHAINS = 12 };
#endif

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define EACH_MORE(X) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

/* written out: an array of accumulators would spill and show half the peak */
double JOIN(mega_fma_loop_, MEGA_ISA)(int64_t turns, float *sink)
{
    vector scale = (vector){ 0 } + 0.999f, add = (vector){ 0 } + 1e-6f;
#define DECLARE(i) vector a##i = add * (float)(i + 1);
#define STEP(i) a##i = a##i * scale + add;
#define SUM(i) total += a##i;
    EACH(DECLARE)
#if defined(MEGA_ISA_avx512)
    EACH_MORE(DECLARE)
#endif
    for (int64_t t = 0; t < turns; t++) {
        EACH(STEP)
#if defined(MEGA_ISA_avx512)
        EACH_MORE(STEP)
#endif
    }
    vector total = { 0 };
    EACH(SUM)
#if defined(MEGA_ISA_avx512)
    EACH_MORE(SUM)
#endif
    *sink = total[0];
    return 2.0 * LANES * CHAINS * (double)turns;
}
