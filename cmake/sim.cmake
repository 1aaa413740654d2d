# tests/sim: the real engine with everything around it simulated. `make sim` builds it optimised and runs it for
# minutes; `make check` runs it with sanitizers for seconds. The model and the graphs are those of the unit tests.
file(GLOB sim_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/sim/*.c)
set(sim_shared ${PROJECT_SOURCE_DIR}/tests/unit/engine/store_model.c ${PROJECT_SOURCE_DIR}/tests/unit/engine/graph.c)
if(PAWL_COMPILE_ONLY)
    add_library(sim OBJECT ${sim_sources})
elseif(PAWL_CHECK)
    add_executable(sim ${sim_sources} ${sim_shared})
    add_test(NAME sim COMMAND sim --count 2000 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    # The same with a real store beside the model: it must judge, keep and load alike.
    add_test(NAME sim.memory COMMAND sim --count 500 --store memory WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    add_test(NAME sim.sqlite COMMAND sim --count 100 --store sqlite WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    # A few planted bugs; `make sim-plants` plants all.
    add_test(NAME sim.plants COMMAND tests/sim/plants.py ${CMAKE_BINARY_DIR}
        start-not-durable a-start-for-nobody acknowledged-too-early
        missing-fence lease-by-local-clock claim-without-row-check row-removed-too-early
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(sim sim.memory sim.sqlite sim.plants PROPERTIES ENVIRONMENT "${PAWL_TEST_ENV}" TIMEOUT 600 COST 50)
else()
    add_executable(sim EXCLUDE_FROM_ALL ${sim_sources} ${sim_shared})
endif()
target_include_directories(sim PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit/engine)
target_link_libraries(sim PRIVATE pawl_flags pawl_live pawl_engine pawl_store)

# tests/sim/nodes: several nodes and the store they share.
file(GLOB nodes_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/sim/nodes/*.c)
if(PAWL_COMPILE_ONLY)
    add_library(sim_nodes OBJECT ${nodes_sources})
elseif(PAWL_CHECK)
    add_executable(sim_nodes ${nodes_sources} ${sim_shared})
    add_test(NAME sim.nodes COMMAND sim_nodes --count 1000 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(sim.nodes PROPERTIES ENVIRONMENT "${PAWL_TEST_ENV}" TIMEOUT 600 COST 50)
else()
    add_executable(sim_nodes EXCLUDE_FROM_ALL ${nodes_sources} ${sim_shared})
endif()
target_include_directories(sim_nodes PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit/engine)
target_link_libraries(sim_nodes PRIVATE pawl_flags pawl_server)
