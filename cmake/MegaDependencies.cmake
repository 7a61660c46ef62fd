# What the project stands on. Each is a Debian package; when one is missing the message says how to get it.

macro(mega_need what found package)
    if(NOT ${found})
        message(FATAL_ERROR "${what} was not found. On Debian: apt-get install ${package} (script/setup installs everything)")
    endif()
endmacro()

find_package(OpenMP QUIET COMPONENTS C)
mega_need("OpenMP" OpenMP_C_FOUND "gcc (or libomp-dev for clang)")

find_package(PkgConfig QUIET)
mega_need("pkg-config" PKG_CONFIG_FOUND pkg-config)

pkg_check_modules(JANSSON QUIET IMPORTED_TARGET jansson>=2.14)
mega_need("jansson (JSON)" JANSSON_FOUND libjansson-dev)

pkg_check_modules(YAML QUIET IMPORTED_TARGET yaml-0.1>=0.2)
mega_need("libyaml" YAML_FOUND libyaml-dev)

find_package(ZLIB QUIET)
mega_need("zlib" ZLIB_FOUND zlib1g-dev)

pkg_check_modules(PCRE2 QUIET IMPORTED_TARGET libpcre2-8>=10.40)
mega_need("PCRE2 (split patterns of tokenizers)" PCRE2_FOUND libpcre2-dev)

pkg_check_modules(UTF8PROC QUIET IMPORTED_TARGET libutf8proc>=2.4)
mega_need("utf8proc (Unicode normal forms)" UTF8PROC_FOUND libutf8proc-dev)

find_package(Threads REQUIRED)

set(MEGA_LIBRARIES OpenMP::OpenMP_C PkgConfig::JANSSON PkgConfig::YAML PkgConfig::PCRE2 PkgConfig::UTF8PROC ZLIB::ZLIB Threads::Threads m)
