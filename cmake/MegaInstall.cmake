# What `cmake --install` lays down: library, program, headers, pkg-config and CMake packages, manual, completion, recipes, what mega bench models measures.
# The tree can be moved afterwards: both packages find themselves.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS megac ARCHIVE)
install(DIRECTORY include/megac TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(DIRECTORY recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/megac OPTIONAL)
install(DIRECTORY bench/peers bench/problems DESTINATION ${CMAKE_INSTALL_DATADIR}/megac OPTIONAL PATTERN "__pycache__" EXCLUDE)
install(FILES LICENSE TYPE DOC)

# only a static library is installed, so whoever links it links what it stands on
set(MEGA_PC_MODULES)
set(MEGA_PC_LIBS)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND MEGA_PC_LIBS -lgomp)
else()
    # it may lie where no linker looks
    list(APPEND MEGA_PC_LIBS ${OpenMP_C_LIBRARIES})
endif()
foreach(library ${MEGA_LIBRARIES})
    if(library MATCHES "^PkgConfig::(.*)$")
        list(APPEND MEGA_PC_MODULES ${${CMAKE_MATCH_1}_MODULE_NAME})
    elseif(library STREQUAL "ZLIB::ZLIB")
        list(APPEND MEGA_PC_MODULES zlib)
    endif()
endforeach()
list(JOIN MEGA_PC_MODULES " " MEGA_PC_MODULES)
list(APPEND MEGA_PC_LIBS -pthread -lm)
list(JOIN MEGA_PC_LIBS " " MEGA_PC_LIBS)

set(where ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}/${where} OUTPUT_VARIABLE MEGA_PC_PREFIX)
configure_file(packaging/megac.pc.in ${CMAKE_BINARY_DIR}/packaging/megac.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/packaging/megac.pc DESTINATION ${where})

set(where ${CMAKE_INSTALL_LIBDIR}/cmake/megac)
configure_package_config_file(packaging/megacConfig.cmake.in ${CMAKE_BINARY_DIR}/packaging/megacConfig.cmake
    INSTALL_DESTINATION ${where} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/packaging/megacConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/packaging/megacConfig.cmake ${CMAKE_BINARY_DIR}/packaging/megacConfigVersion.cmake
    DESTINATION ${where})

if(TARGET mega)
    install(TARGETS mega RUNTIME)
endif()

# the program prints its own manual and completion: one page for each src/cli/cmd_<command>.c
if(TARGET mega AND EXISTS ${CMAKE_SOURCE_DIR}/src/cli/cmd_help.c)
    set(manual ${CMAKE_BINARY_DIR}/manual)
    file(MAKE_DIRECTORY ${manual})
    set(pages)
    foreach(source ${MEGA_CLI})
        if(source MATCHES "/cmd_([a-z_]+)\\.c$")
            string(REPLACE "_" "-" command ${CMAKE_MATCH_1})
            set(page ${manual}/mega-${command}.1)
            add_custom_command(OUTPUT ${page} COMMAND mega help --man ${command} > ${page} DEPENDS mega)
            list(APPEND pages ${page})
        endif()
    endforeach()
    add_custom_command(OUTPUT ${manual}/mega-variants.7 COMMAND mega help --man variants > ${manual}/mega-variants.7 DEPENDS mega)
    add_custom_command(OUTPUT ${manual}/mega COMMAND mega help --completion bash > ${manual}/mega DEPENDS mega)
    add_custom_target(mega_manual ALL DEPENDS ${pages} ${manual}/mega-variants.7 ${manual}/mega)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${manual}/mega-variants.7 DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
    install(FILES ${manual}/mega DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endif()

# a user's program, built against an installed tree; a sanitized library would ask every user for the sanitizer
if(MEGA_TESTS AND NOT MEGA_SANITIZE)
    add_test(NAME install COMMAND ${CMAKE_SOURCE_DIR}/test/install/run.sh ${CMAKE_BINARY_DIR})
    set_tests_properties(install PROPERTIES ENVIRONMENT "CC=${CMAKE_C_COMPILER}")
endif()
