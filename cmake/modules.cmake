# One static library per folder of src/, linked as tools/layers says ("module: what it may use").
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/layers)
file(GLOB PAWL_FOLDERS CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/src/*)

set(PAWL_MODULES "")
foreach(module IN LISTS PAWL_FOLDERS)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${module}/*.c)
    if(sources AND NOT module STREQUAL "main")
        add_library(pawl_${module} STATIC ${sources})
        set_target_properties(pawl_${module} PROPERTIES OUTPUT_NAME ${module} PREFIX "")
        target_link_libraries(pawl_${module} PUBLIC pawl_flags)
        list(APPEND PAWL_MODULES ${module})
    endif()
endforeach()

set(PAWL_MODULE_TARGETS "")
foreach(module IN LISTS PAWL_MODULES)
    list(APPEND PAWL_MODULE_TARGETS pawl_${module})
endforeach()

# Files for the program itself, compiled in: src/<module>/embed/NAME is there as
# `const unsigned char <module>_embed_NAME[]` and `const size_t <module>_embed_NAME_len`.
foreach(module IN LISTS PAWL_MODULES)
    file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${module}/embed/*)
    foreach(path IN LISTS files)
        get_filename_component(name ${path} NAME)
        string(MAKE_C_IDENTIFIER "${module}_embed_${name}" symbol)
        set(out ${CMAKE_CURRENT_BINARY_DIR}/embed/${symbol}.c)
        add_custom_command(OUTPUT ${out}
            COMMAND ${PROJECT_SOURCE_DIR}/tools/embed ${path} ${symbol} ${out}
            DEPENDS ${path} ${PROJECT_SOURCE_DIR}/tools/embed
            COMMENT "Embedding ${module}/${name}" VERBATIM)
        target_sources(pawl_${module} PRIVATE ${out})
    endforeach()
endforeach()

# The web UI's files, whatever they are called.
file(GLOB web_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/ui/dist/*)
set(out ${CMAKE_CURRENT_BINARY_DIR}/embed/web_files.c)
add_custom_command(OUTPUT ${out}
    COMMAND ${PROJECT_SOURCE_DIR}/tools/embed-web ${out} ${web_files}
    DEPENDS ${web_files} ${PROJECT_SOURCE_DIR}/tools/embed-web
    COMMENT "Embedding the web UI" VERBATIM)
target_sources(pawl_web PRIVATE ${out})

file(STRINGS ${PROJECT_SOURCE_DIR}/tools/layers lines REGEX "^uses ")
foreach(line IN LISTS lines)
    string(REGEX MATCH "^uses ([a-z]+):(.*)$" matched "${line}")
    set(module ${CMAKE_MATCH_1})
    separate_arguments(used UNIX_COMMAND "${CMAKE_MATCH_2}")
    if(NOT TARGET pawl_${module})
        continue()
    endif()
    foreach(entry IN LISTS used)
        string(REGEX REPLACE "/.*$" "" entry "${entry}")
        if(TARGET pawl_${entry})
            target_link_libraries(pawl_${module} PUBLIC pawl_${entry})
        endif()
    endforeach()
    target_link_libraries(pawl_${module} PUBLIC pawl_libraries)
endforeach()

file(GLOB_RECURSE main_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/main/*.c)
if(PAWL_COMPILE_ONLY)
    add_library(pawl OBJECT ${main_sources})
elseif(NOT PAWL_FUZZ)
    add_executable(pawl ${main_sources})
    install(TARGETS pawl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# Man pages and completion come from the program itself.
if(TARGET pawl_cli AND NOT PAWL_COMPILE_ONLY AND NOT PAWL_FUZZ AND NOT PAWL_CHECK)
    add_custom_command(TARGET pawl POST_BUILD
        COMMAND pawl generate man ${CMAKE_BINARY_DIR}/man
        COMMAND pawl generate completion ${CMAKE_BINARY_DIR}/completion
        VERBATIM)
    set(zsh_folder ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    if(PAWL_PACKAGE) # where Debian wants them
        add_custom_command(TARGET pawl POST_BUILD COMMAND sh -c "gzip -9nf man/*.1"
            WORKING_DIRECTORY ${CMAKE_BINARY_DIR} VERBATIM)
        set(zsh_folder ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
    endif()
    install(DIRECTORY ${CMAKE_BINARY_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${CMAKE_BINARY_DIR}/completion/pawl
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${CMAKE_BINARY_DIR}/completion/_pawl DESTINATION ${zsh_folder})
    install(FILES ${CMAKE_BINARY_DIR}/completion/pawl.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()
if(TARGET pawl)
    target_link_libraries(pawl PRIVATE pawl_flags ${PAWL_MODULE_TARGETS} pawl_libraries)
endif()

# Libraries that only the daemon needs are opened late: see src/base/late.h.
if(TARGET pawl AND NOT PAWL_COMPILE_ONLY AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    set(out ${CMAKE_CURRENT_BINARY_DIR}/late_stubs.S)
    set(archives "")
    foreach(module IN LISTS PAWL_MODULES)
        list(APPEND archives $<TARGET_FILE:pawl_${module}>)
    endforeach()
    add_custom_command(OUTPUT ${out}
        COMMAND ${PROJECT_SOURCE_DIR}/tools/late-stubs ${out} ${MICROHTTPD_LINK_LIBRARIES} ${GNUTLS_LINK_LIBRARIES}
            -- ${archives}
        DEPENDS ${PROJECT_SOURCE_DIR}/tools/late-stubs ${PAWL_MODULE_TARGETS}
        COMMENT "Stubs of libraries that are opened late" VERBATIM)
    target_sources(pawl PRIVATE ${out})
    target_link_options(pawl PRIVATE -Wl,--as-needed)
endif()
