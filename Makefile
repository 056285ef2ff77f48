# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
#
# The front door: one word for each thing that one does here. meson and ninja do the work, in build/.

# Debian's own tools before any others of the same name (a python3 of pyenv has none of its modules).
export PATH := /usr/bin:/bin:/usr/sbin:/sbin:$(PATH)
export LC_ALL := C.UTF-8

PYTHON := /usr/bin/python3
BUILD := build
ARGS :=
# Warnings are errors in CI only: a new compiler must not keep a user from building.
WERROR := $(if $(filter true,$(CI)),-Dwerror=true)

.PHONY: help build programs demo test check bench asan clang arm64 tidy fmt cover fuzz interop torture install clean

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1 ## /p' Makefile | awk -F ' ## ' '{ printf "make %-10s %s\n", $$1, $$2 }'

build: ## the programs, in build/
	@scripts/build $(BUILD) $(WERROR)

programs: ## only what a user runs, no tests
	@scripts/build --programs $(BUILD)

demo: programs ## ./demo without the installation of packages (ARGS=--once)
	@exec $(BUILD)/src/tool/driveline demo $(ARGS)

test: build ## unit tests, fuzz corpora, integration and browser tests
	@$(PYTHON) scripts/check.py gcc unit fuzz integration conformance browser

check: ## ./check without the installation of packages (ARGS="unit clang": these steps)
	@exec $(PYTHON) scripts/check.py $(ARGS)

bench: ## measures, and writes docs/benchmarks.md
	@scripts/build $(BUILD)/release --buildtype=release
	@$(PYTHON) tests/bench/bench.py --build $(BUILD)/release $(ARGS)

asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(PYTHON) scripts/check.py asan asan-unit asan-integration

clang: ## a fresh build with clang, warnings as errors
	@$(PYTHON) scripts/check.py clang

arm64: ## cross-builds the car for 64-bit ARM and runs it under qemu
	@$(PYTHON) scripts/check.py arm64

tidy: build ## clang-tidy (package clang-tidy)
	@git ls-files 'src/*.c' 'apps/*.c' | xargs -d '\n' clang-tidy --quiet -p $(BUILD)

fmt: ## formats the C files (package clang-format)
	@git ls-files '*.c' '*.h' | xargs -d '\n' clang-format -i

cover: ## line coverage of all tests, in build/cover/report (package gcovr)
	@scripts/build $(BUILD)/cover -Db_coverage=true
	@DRIVELINE_BUILD=$(BUILD)/cover $(PYTHON) scripts/check.py --build $(BUILD)/cover unit fuzz integration
	@mkdir -p $(BUILD)/cover/report
	@gcovr --root . --filter src/ --exclude '.*_test\.c' --html-details $(BUILD)/cover/report/index.html $(BUILD)/cover

fuzz: ## fuzzes each parser for SECONDS (default 60) with libFuzzer
	@CC=clang scripts/build $(BUILD)/fuzz -Dfuzz=true -Db_lundef=false -Db_sanitize=address,undefined
	@$(PYTHON) tests/fuzz/run.py --build $(BUILD)/fuzz --seconds $(or $(SECONDS),60) $(ARGS)

interop: build ## schemathesis against the update server, AWS IoT device SDKs against the broker (uses PyPI)
	@tests/interop/run $(ARGS)

torture: build ## kills programs at random, thousands of times (ARGS="--kills 5000 --seed 7")
	@$(PYTHON) tests/torture.py --build $(BUILD) --kills 3000 $(ARGS)

install: build ## installs programs, plugin and man pages (DESTDIR, PREFIX)
	@meson configure $(BUILD) --prefix '$(or $(PREFIX),/usr/local)'
	@meson install -C $(BUILD)

clean: ## removes build/
	@rm -rf -- $(BUILD)
