# The optimiser's passes over flat arrays: gcc vectorises from -O3 on, and sqrtf only without errno. The order of every
# sum is written out in the code, so no flag may change it.

set_source_files_properties(src/optim/adam.c src/optim/grad_norm.c PROPERTIES
    COMPILE_OPTIONS "-O3;-fno-math-errno;-fno-trapping-math")
