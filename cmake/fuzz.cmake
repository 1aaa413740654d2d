# fuzz/<name>.c has LLVMFuzzerTestOneInput. `make fuzz` links it with libFuzzer; `make check` links it
# with fuzz/replay/main.c, which feeds it every file of fuzz/corpus/<name>/.
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fuzz/*.c)
foreach(source IN LISTS fuzz_sources)
    get_filename_component(name ${source} NAME_WE)
    if(PAWL_FUZZ)
        add_executable(fuzz_${name} ${source})
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    elseif(PAWL_COMPILE_ONLY)
        add_library(fuzz_${name} OBJECT ${source} ${PROJECT_SOURCE_DIR}/fuzz/replay/main.c)
    else()
        add_executable(fuzz_${name} ${source} ${PROJECT_SOURCE_DIR}/fuzz/replay/main.c)
        add_test(NAME fuzz.${name} COMMAND fuzz_${name} fuzz/corpus/${name}
            WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties(fuzz.${name} PROPERTIES ENVIRONMENT "${PAWL_TEST_ENV}" TIMEOUT 300)
    endif()
    target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/fuzz/replay)
    target_link_libraries(fuzz_${name} PRIVATE pawl_flags ${PAWL_MODULE_TARGETS} pawl_libraries)
endforeach()
