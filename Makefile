# A thin front for CMake and Ninja.
#   make          the optimised binary, build/pawl
#   make check    everything that is tested, under ASan and UBSan
#   make lint     the two other compiles (gcc -O2, clang) and tools/tidy
#   make workloads  real recorded workflows through build/pawl, as no-ops and scaled to 20 s
#   make demo     a server, a DAG, its result
#   make cluster-demo  three nodes on PostgreSQL, one of them dies, the run finishes
#   make fuzz     libFuzzer targets, FUZZ_SECONDS (60) each
#   make bench    the budgets, measured beside floors and rivals; BENCH holds options of bench/bench.py
#   make bench-core  the engine alone, without I/O
#   make sim      the simulation, SIM_SECONDS (600); goes on at the seed where it stopped
#   make sim-plants  bugs planted into the engine one by one: does the simulation see each?
#   make removals  the code of each guarantee taken away, piece by piece: does its test fail each time?
#   make crash    kills the daemon and its workers, checks that nothing is lost or doubled
#   make cluster  nodes that share PostgreSQL are killed, paused and cut off, and so is PostgreSQL
#   make cluster-upgrade  the same while nodes are exchanged, one by one, for those of OLD, a commit or several
#   make cluster-upgrade-plants  new programs that an older one cannot live with: does it see those?
#   make cluster-plants  what keeps nodes apart taken away, one by one: does the campaign see it?
#   make torture  the n-th call fails
#   make tsan     the black-box suite on a build with ThreadSanitizer; what it says is in build-tsan/races.*
#   make valgrind the unit tests that need no process to be watched, under Valgrind
#   make deb      a Debian package of the service, build-deb/pawl_*.deb
#   make package-test  installs, upgrades and purges that package: as root, in a root that is thrown away
#   make install  DESTDIR and PREFIX (/usr/local) as usual
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

SIM_SECONDS ?= 600

.PHONY: valgrind tsan removals sim sim-plants bench-core all check check-build lint workloads demo cluster-demo fuzz crash cluster cluster-upgrade cluster-upgrade-plants cluster-plants torture bench deb package-test install deps clean

all:
	@cmake -S . -B build -G Ninja -DCMAKE_C_COMPILER=$(CC) -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build build -j $(JOBS)

deps:
	@tools/install-deps check

check-build:
	@cmake -S . -B build-check -G Ninja -DCMAKE_C_COMPILER=$(CC) -DPAWL_CHECK=ON >/dev/null
	@cmake --build build-check -j $(JOBS)

check: deps
	@$(MAKE) --no-print-directory check-build
	@cd build-check && PAWL_JOBS=$(JOBS) ctest --output-on-failure -j $(JOBS)

lint:
	@PAWL_JOBS=$(JOBS) tools/build-variant release
	@PAWL_JOBS=$(JOBS) tools/build-variant clang
	@tools/tidy

workloads: all
	@PAWL=build/pawl PAWL_WORKLOADS=all /usr/bin/python3 -m pytest -q -s -p no:cacheprovider tests/blackbox/test_workloads.py

demo:
	@tools/demo

cluster-demo:
	@tools/cluster-demo

fuzz:
	@tools/install-deps check
	@cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DPAWL_FUZZ=ON >/dev/null
	@cmake --build build-fuzz -j $(JOBS)
	@tools/fuzz

bench:
	@tools/install-deps bench
	@cmake -S . -B build -G Ninja -DCMAKE_C_COMPILER=$(CC) -DPAWL_BENCH=ON >/dev/null
	@cmake --build build -j $(JOBS)
	@PAWL_BENCH_BUILD=build /usr/bin/python3 bench/bench.py $(BENCH)

sim:
	@cmake -S . -B build -G Ninja -DCMAKE_C_COMPILER=$(CC) -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build build -j $(JOBS) --target sim
	@build/sim --seconds $(SIM_SECONDS) --progress build/sim.next

sim-plants:
	@cmake -S . -B build -G Ninja -DCMAKE_C_COMPILER=$(CC) -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build build -j $(JOBS) --target sim --target sim_nodes
	@tests/sim/plants.py build

# REMOVALS: options of tests/crash/removals.py, such as --only G5
removals: check-build
	@tests/crash/removals.py build-check $(REMOVALS)

bench-core:
	@cmake -S . -B build -G Ninja -DCMAKE_C_COMPILER=$(CC) -DPAWL_BENCH=ON >/dev/null
	@cmake --build build -j $(JOBS) --target bench_core
	@build/bench/core

# CRASH, CLUSTER, TORTURE: options of tests/crash/campaign.py, tests/cluster/campaign.py and tests/crash/torture.py
crash: all
	@PAWL=build/pawl tests/crash/campaign.py $(CRASH)

cluster: deps all
	@PAWL=build/pawl /usr/bin/python3 tests/cluster/campaign.py $(CLUSTER)

# OLD: commits; the last one before the newest step of PostgreSQL's tables, and the last before the fourth newest
OLD ?= $(shell git log --format=%h^ -G'^    /\* [0-9]+:' -- src/store/postgres/pg_migrate.c | sed -n '1p;4p')
cluster-upgrade: deps all
	@test -n "$(OLD)" || { echo "cluster-upgrade: OLD names no commit" >&2; exit 2; }
	@older=; for old in $(OLD); do path=$$(PAWL_JOBS=$(JOBS) CC=$(CC) tools/build-older "$$old") || exit 1; older="$$older --older $$path"; done; \
	PAWL=build/pawl /usr/bin/python3 tests/cluster/campaign.py $$older $(CLUSTER)

cluster-upgrade-plants: deps all
	@older=$$(PAWL_JOBS=$(JOBS) CC=$(CC) tools/build-older "$(firstword $(OLD))") && \
	/usr/bin/python3 tests/cluster/plants.py build --older "$$older"

cluster-plants: deps all
	@/usr/bin/python3 tests/cluster/plants.py build

torture: all
	@PAWL=build/pawl tests/crash/torture.py $(TORTURE)

deb:
	@tools/install-deps package
	@cmake -S . -B build-deb -G Ninja -DCMAKE_C_COMPILER=$(CC) -DCMAKE_INSTALL_PREFIX=/usr -DPAWL_PACKAGE=ON >/dev/null
	@cmake --build build-deb -j $(JOBS)
	@cd build-deb && cpack >cpack.log || { cat cpack.log >&2; exit 1; }
	@ls build-deb/pawl_*.deb

package-test: deb
	@tools/try-package "$$(ls build-deb/pawl_*.deb)"

# TSAN: options of pytest, such as -k letters
tsan: deps
	@cmake -S . -B build-tsan -G Ninja -DCMAKE_C_COMPILER=$(CC) -DPAWL_TSAN=ON >/dev/null
	@cmake --build build-tsan -j $(JOBS) --target pawl
	@tools/tsan $(TSAN)

# Debian 12's Valgrind knows neither pidfd_open nor clone3: what watches processes cannot run in it. Nor can tests that
# limit their memory, or wait so long for an answer and no longer.
valgrind:
	@tools/install-deps valgrind
	@cmake -S . -B build-valgrind -G Ninja -DCMAKE_C_COMPILER=$(CC) -DPAWL_CHECK=ON -DPAWL_VALGRIND=ON >/dev/null
	@cmake --build build-valgrind -j $(JOBS)
	@cd build-valgrind && ctest -j $(JOBS) --output-on-failure -R '^unit\.' -E '^unit\.(worker|pool|loop|api_http\.test_r|api\.test_json_memory)' $(VALGRIND)

install: all
	@cmake --install build

clean:
	@rm -rf build build-check build-clang build-fuzz build-tsan build-valgrind build-deb
