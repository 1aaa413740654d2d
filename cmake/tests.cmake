# Everything `make check` runs, as ctest entries.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
# Debian's own interpreter, since Debian's packages of pytest and hypothesis belong to it.
find_program(PAWL_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)

set(PAWL_TEST_ENV
    "PAWL=$<TARGET_FILE:pawl>"
    "PAWL_SOURCE=${PROJECT_SOURCE_DIR}"
    "ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:strict_string_checks=1"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "PYTHONDONTWRITEBYTECODE=1")

set(PAWL_UNIT_TIMEOUT 300)
if(PAWL_VALGRIND)
    set(PAWL_UNIT_TIMEOUT 3000)
    find_program(VALGRIND valgrind REQUIRED)
    set(PAWL_RUNNER ${VALGRIND} -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite)
endif()

# A unit test is one executable per tests/unit/<module>/test_*.c. The folder's other .c files are
# helpers and go into each of its tests.
file(GLOB unit_folders CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/tests/unit
    ${PROJECT_SOURCE_DIR}/tests/unit/*)
foreach(folder IN LISTS unit_folders)
    file(GLOB helpers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/unit/${folder}/*.c)
    set(tests ${helpers})
    list(FILTER tests INCLUDE REGEX "/test_[^/]*\\.c$")
    list(FILTER helpers EXCLUDE REGEX "/test_[^/]*\\.c$")
    foreach(source IN LISTS tests)
        get_filename_component(name ${source} NAME_WE)
        set(target unit_${folder}_${name})
        if(PAWL_COMPILE_ONLY)
            add_library(${target} OBJECT ${source} ${helpers})
        else()
            add_executable(${target} ${source} ${helpers})
            add_test(NAME unit.${folder}.${name} COMMAND ${PAWL_RUNNER} $<TARGET_FILE:${target}>
                WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
            set_tests_properties(unit.${folder}.${name} PROPERTIES
                ENVIRONMENT "${PAWL_TEST_ENV}" TIMEOUT ${PAWL_UNIT_TIMEOUT})
        endif()
        target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit)
        target_link_libraries(${target} PRIVATE
            pawl_flags ${PAWL_MODULE_TARGETS} pawl_libraries PkgConfig::CMOCKA)
    endforeach()
endforeach()

if(PAWL_COMPILE_ONLY)
    return()
endif()

add_test(NAME tidy COMMAND ${PAWL_PYTHON} tools/tidy WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME tidy.self COMMAND ${PAWL_PYTHON} tests/tidy/test_tidy.py
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME build.clang COMMAND tools/build-variant clang WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME build.release COMMAND tools/build-variant release
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(build.clang build.release PROPERTIES TIMEOUT 900 COST 100)

# What `make removals` takes away still stands where its table says, and the tests it names are there.
add_test(NAME removals.table COMMAND ${PAWL_PYTHON} tests/crash/removals.py --check
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})

# The document comes from the command of its name; Spectral is installed on the first run.
file(GLOB openapi_command CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/*openapi*.c)
if(openapi_command)
    add_test(NAME openapi.lint COMMAND tests/openapi/lint WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(openapi.lint PROPERTIES
        ENVIRONMENT "${PAWL_TEST_ENV}" TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()

# The UI: its modules come from npm on the first run, its browser is Debian's.
add_test(NAME ui.dist COMMAND ui/check WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME ui.browser COMMAND tests/ui/run WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(ui.dist ui.browser PROPERTIES
    ENVIRONMENT "${PAWL_TEST_ENV}" TIMEOUT 600 SKIP_RETURN_CODE 77)
set_tests_properties(ui.browser PROPERTIES COST 900)

if(EXISTS ${PROJECT_SOURCE_DIR}/tests/blackbox)
    add_test(NAME blackbox COMMAND ${PAWL_PYTHON} -m pytest -q -p no:cacheprovider tests/blackbox
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(blackbox PROPERTIES
        ENVIRONMENT "${PAWL_TEST_ENV}" TIMEOUT 1000 COST 1000)
endif()
