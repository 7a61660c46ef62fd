# The CPU kernels: one source, compiled once for each instruction set, chosen at run time by feature bits.
# Each file of src/kernel/cpu/isa/ is compiled with MEGA_ISA naming its set; files beside it are compiled once.

file(GLOB MEGA_CPU CONFIGURE_DEPENDS src/kernel/cpu/*.c)
file(GLOB MEGA_CPU_ISA CONFIGURE_DEPENDS src/kernel/cpu/isa/*.c)
target_sources(megac PRIVATE ${MEGA_CPU})

set(MEGA_ISA_FLAGS_base "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
    set(MEGA_ISAS base avx2 avx512)
    set(MEGA_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c)
    set(MEGA_ISA_FLAGS_avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
else()
    set(MEGA_ISAS base)
endif()

# Contraction is wanted here: kernels are held to the reference by tolerance, not by bits. Linked after mega_flags, whose
# -ffp-contract=off would win if it came last.
add_library(mega_kernel_flags INTERFACE)
target_compile_options(mega_kernel_flags INTERFACE -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math)

foreach(isa ${MEGA_ISAS})
    if(MEGA_CPU_ISA)
        add_library(mega_kernels_${isa} OBJECT ${MEGA_CPU_ISA})
        target_include_directories(mega_kernels_${isa} PRIVATE src include)
        target_link_libraries(mega_kernels_${isa} PRIVATE mega_flags mega_kernel_flags ${MEGA_LIBRARIES})
        target_compile_options(mega_kernels_${isa} PRIVATE ${MEGA_ISA_FLAGS_${isa}})
        target_compile_definitions(mega_kernels_${isa} PRIVATE MEGA_ISA=${isa} MEGA_ISA_${isa}=1)
        target_sources(megac PRIVATE $<TARGET_OBJECTS:mega_kernels_${isa}>)
    endif()
endforeach()

# Kernels on products of bfloat16, asked for by a feature bit of their own.
if("avx512" IN_LIST MEGA_ISAS)
    file(GLOB MEGA_CPU_BF16 CONFIGURE_DEPENDS src/kernel/cpu/bf16/*.c)
    add_library(mega_kernels_bf16 OBJECT ${MEGA_CPU_BF16})
    target_include_directories(mega_kernels_bf16 PRIVATE src include)
    target_link_libraries(mega_kernels_bf16 PRIVATE mega_flags mega_kernel_flags ${MEGA_LIBRARIES})
    target_compile_options(mega_kernels_bf16 PRIVATE ${MEGA_ISA_FLAGS_avx512} -mavx512bf16)
    target_sources(megac PRIVATE $<TARGET_OBJECTS:mega_kernels_bf16>)
endif()
string(REPLACE ";" "," MEGA_ISA_LIST "${MEGA_ISAS}")
