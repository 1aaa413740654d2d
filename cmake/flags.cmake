# Warnings, hardening and sanitizers. The build type stays empty on purpose: flags are all here, and
# NDEBUG is never defined, since assertions are part of the product.
include(CheckCCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(PAWL_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wvla -Werror)

add_library(pawl_flags INTERFACE)
target_compile_definitions(pawl_flags INTERFACE _GNU_SOURCE PAWL_VERSION="${PROJECT_VERSION}")
target_include_directories(pawl_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
# Hidden, so that no function of ours can stand in for one of the same name inside a shared library.
target_compile_options(pawl_flags INTERFACE
    -g ${PAWL_WARNINGS} -fno-omit-frame-pointer -fvisibility=hidden)

if(PAWL_FUZZ)
    set(PAWL_SANITIZE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
    target_compile_options(pawl_flags INTERFACE -O1 ${PAWL_SANITIZE})
    target_link_options(pawl_flags INTERFACE -fsanitize=address,undefined)
elseif(PAWL_TSAN)
    set(PAWL_SANITIZE -fsanitize=thread)
    target_compile_options(pawl_flags INTERFACE -O1 ${PAWL_SANITIZE})
    target_link_options(pawl_flags INTERFACE ${PAWL_SANITIZE})
elseif(PAWL_VALGRIND)
    target_compile_options(pawl_flags INTERFACE -O0)
elseif(PAWL_CHECK)
    set(PAWL_SANITIZE -fsanitize=address,undefined -fno-sanitize-recover=all)
    target_compile_options(pawl_flags INTERFACE -O1 ${PAWL_SANITIZE})
    target_link_options(pawl_flags INTERFACE ${PAWL_SANITIZE})
else()
    target_compile_options(pawl_flags INTERFACE
        -O2 -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
    check_c_compiler_flag(-fcf-protection PAWL_HAS_CF_PROTECTION)
    if(PAWL_HAS_CF_PROTECTION)
        target_compile_options(pawl_flags INTERFACE -fcf-protection)
    endif()
    check_c_compiler_flag(-fstack-clash-protection PAWL_HAS_STACK_CLASH)
    if(PAWL_HAS_STACK_CLASH)
        target_compile_options(pawl_flags INTERFACE -fstack-clash-protection)
    endif()
    target_link_options(pawl_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
endif()

# What is linked. libcurl is opened by src/worker when the first http task comes, libpq by src/store/postgres when a
# store is on PostgreSQL: headers only. libmicrohttpd and GnuTLS are opened late by the program, where that is possible
# (the end of modules.cmake).
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(GNUTLS REQUIRED IMPORTED_TARGET gnutls)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(PQ REQUIRED libpq)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
add_library(pawl_libraries INTERFACE)
target_include_directories(pawl_libraries SYSTEM INTERFACE ${PQ_INCLUDE_DIRS})
target_link_libraries(pawl_libraries INTERFACE
    PkgConfig::MICROHTTPD PkgConfig::GNUTLS PkgConfig::YAML PkgConfig::JANSSON PkgConfig::SQLITE PkgConfig::ZLIB
    Threads::Threads ${CMAKE_DL_LIBS} m)
