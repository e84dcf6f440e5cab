# The front door. `make run` and `make test` work on a fresh Debian 12 machine; the rest is for developers.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
JOBS ?= $(shell nproc)
DATA ?= weir-data
LISTEN ?= 127.0.0.1:5080

configure = [ -f build/$(1)/build.ninja ] || cmake --preset $(1) >/dev/null
compile = $(call configure,$(1)) && cmake --build build/$(1) -j $(JOBS)
ours = git ls-files 'src/*.[ch]' 'tests/*.[ch]'

.PHONY: build run ui test unit integration asan tsan clang arm64 bench fuzz soak format lint coverage clean deps help

build: ## build/release/weir
	@scripts/deps.sh build
	@$(call compile,release) --target weir

run: build ## the server on its embedded defaults, demo records flowing in
	@scripts/run-demo.sh build/release/weir "$(DATA)" "$(LISTEN)"

ui: ## the search page: ui/dist/index.html, which is committed, from ui/src
	@scripts/deps.sh ui
	@scripts/ui.sh build

deps: ## everything a developer needs
	@scripts/deps.sh dev

unit: ## unit, fault and corpus tests (debug build)
	@scripts/deps.sh test
	@$(call compile,debug)
	@ctest --test-dir build/debug --output-on-failure -j $(JOBS)

integration: build ## the real server, driven over HTTP and by its command line
	@scripts/deps.sh test
	@"$$(scripts/python.sh)" -m pytest -q -n 2 --dist loadgroup tests/integration

asan: ## the suite under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/deps.sh test
	@$(call compile,asan)
	@ctest --test-dir build/asan --output-on-failure -j $(JOBS)

tsan: ## the suite under ThreadSanitizer
	@scripts/deps.sh test
	@$(call compile,tsan)
	@ctest --test-dir build/tsan --output-on-failure -j $(JOBS)

clang: ## clang builds it without a warning
	@scripts/deps.sh dev
	@$(call compile,clang)

arm64: ## cross-built for arm64, the suite under qemu
	@scripts/deps.sh arm64
	@$(call compile,arm64)
	@ctest --test-dir build/arm64 --output-on-failure -j $(JOBS) -LE lint

test: ## everything, in order of what fails soonest
	@scripts/test-all.sh

bench: build ## ingest, size and queries beside zstd (and VICTORIA_LOGS, CLP_S where given)
	@"$$(scripts/python.sh)" bench/bench.py $(BENCH)

fuzz: ## each fuzz target for FUZZ_SECONDS (default 600)
	@scripts/deps.sh dev
	@$(call compile,fuzz)
	@scripts/fuzz.sh build/fuzz "$${FUZZ_SECONDS:-600}"

soak: build ## a simulated month, full disk, damage, thousands of kills (SOAK_KILLS, default 2000)
	@scripts/deps.sh test
	@$(call compile,debug)
	@scripts/soak.sh

format: ## clang-format over what is ours
	@scripts/deps.sh dev
	@$(ours) | xargs clang-format -i

lint: ## format, width, layers, clang-tidy
	@scripts/deps.sh dev
	@$(ours) | xargs clang-format --dry-run --Werror
	@! $(ours) | LC_ALL=C.UTF-8 xargs grep -nP '^.{101}'
	@python3 scripts/check_includes.py
	@$(call configure,clang) && cmake --build build/clang --target proto
	@git ls-files 'src/*.c' | xargs -P $(JOBS) -n 8 clang-tidy -quiet -p build/clang

coverage: ## line coverage of the unit and the integration suite
	@scripts/deps.sh dev
	@$(call compile,coverage)
	@find build/coverage -name '*.gcda' -delete
	@ctest --test-dir build/coverage --output-on-failure -j $(JOBS) -LE lint | tail -n 60
	@WEIR=$$PWD/build/coverage/weir "$$(scripts/python.sh)" -m pytest -q -n 2 --dist loadgroup tests/integration
	@"$$(scripts/python.sh)" scripts/coverage.py build/coverage --under 85

clean:
	@rm -rf build

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | sort | expand -t 14
