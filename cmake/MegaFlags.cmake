# Flags of our own code alone; they are not exported.

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(mega_flags INTERFACE)
target_compile_features(mega_flags INTERFACE c_std_11)
target_compile_definitions(mega_flags INTERFACE _GNU_SOURCE MEGA_VERSION="${PROJECT_VERSION}")
target_compile_options(mega_flags INTERFACE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
    -ffp-contract=off $<$<C_COMPILER_ID:GNU>:-fno-semantic-interposition>)

if(MEGA_SANITIZE)
    add_compile_options(-fsanitize=${MEGA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${MEGA_SANITIZE})
endif()
