# The programs of bench/: floors and load. Plain C, none of pawl's own code, except core*.c, which times the engine.
file(GLOB bench_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.c)
foreach(source IN LISTS bench_sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(bench_${name} ${source})
    set_target_properties(bench_${name} PROPERTIES OUTPUT_NAME ${name}
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/bench)
    target_compile_definitions(bench_${name} PRIVATE _GNU_SOURCE)
    target_compile_options(bench_${name} PRIVATE -O2 -Wall -Wextra -Wconversion -Werror)
    if(name MATCHES "^core")
        target_link_libraries(bench_${name} PRIVATE pawl_flags ${PAWL_MODULE_TARGETS})
    endif()
    target_link_libraries(bench_${name} PRIVATE pawl_libraries)
endforeach()
