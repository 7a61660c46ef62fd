/* One reference case and what came of it. An adapter reads the case (module, configuration,
 * tensors) from the file itself and runs it through the library. */
#ifndef MEGA_TEST_GOLDEN_H
#define MEGA_TEST_GOLDEN_H

enum { GOLDEN_PASSED = 0, GOLDEN_FAILED = 1, GOLDEN_UNSUPPORTED = 2 };

struct golden_result {
    char worst[128];  /* the tensor with the largest error */
    double error;     /* that error, relative as the file's tolerance is */
    char reason[256]; /* of a failure or a refusal */
};

#endif
