# Holdfast. `make help` lists the targets.

SWIFT ?= swift
# The Swift standard library is linked in, so that a server needs nothing but libsystemd. Debug information stays in the
# programs, for backtraces, but compressed.
RELEASE := -c release --static-swift-stdlib -Xlinker --compress-debug-sections=zlib
BIN := .build/release
# For `make demo`: --port 9000, --no-proxy, --keep.
DEMO ?=
# For `make recipes`: --markdown, --swaps 20, and names of recipes.
RECIPES ?=
# For `make bench`: --quick, and names of benchmarks.
BENCH ?=

.DEFAULT_GOAL := help
.PHONY: help setup build test test-unit test-e2e test-package demo recipes bench deb lint clean

help:
	@echo 'make demo     build, then swap HAProxy and its backend under load before your eyes (no root, half a minute)'
	@echo 'make build    holdfastd, holdfastctl, holdfast-static and holdfast-probe into $(BIN)'
	@echo 'make test     all tests'
	@echo 'make recipes  swap HAProxy, nginx, gunicorn, Node and others under load, and count what was lost'
	@echo 'make bench    measure, as ratios (BENCH=--quick: a first impression)'
	@echo 'make deb      the Debian packages, into .build/deb/packages'
	@echo 'make test-package   those, installed, used, upgraded and purged in a Debian 12 of their own (root)'
	@echo 'make lint     formatting of the sources, shell scripts, manual pages'
	@echo 'make setup    install from apt what is missing (called by the others)'
	@echo 'make clean    remove what was built'

setup:
	@packaging/setup

build:
	@packaging/setup build
	$(SWIFT) build $(RELEASE)

demo:
	@packaging/setup build demo
	$(SWIFT) build $(RELEASE)
	@units/demo/run $(DEMO) $(BIN)

test: test-unit test-e2e

# Three runs, because each kind wants its own company. Tests of pure logic share process and cores. LinuxTests have their
# process to themselves: they reap whatever child it has, a neighbour's too. Tests that start real programs and watch their
# timing have the machine to themselves, one at a time. SwiftPM puts all test targets into one process, so it is said here.
test-unit:
	@packaging/setup build test
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build --skip LinuxTests --skip EndToEndTests
	$(SWIFT) test --skip-build --filter LinuxTests

test-e2e:
	@packaging/setup build test
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build --no-parallel --filter EndToEndTests

recipes:
	@packaging/setup build recipes
	$(SWIFT) build $(RELEASE)
	@units/recipes/run $(RECIPES)

bench:
	@packaging/setup build demo bench
	$(SWIFT) build $(RELEASE)
	@Tests/Benchmarks/run $(BENCH)

deb:
	@packaging/deb

test-package:
	@packaging/test/run-package

lint:
	@packaging/setup lint
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests
	@packaging/lint

clean:
	$(SWIFT) package clean
