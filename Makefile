# The front door; each target is a line or two over script/, tools/ and CMakePresets.json.

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60

all:            ## build the library, the program and the tests into build/
	@script/build

test:           ## build, run the whole suite, count its cases
	@script/test

demo:           ## train a small model on ListOps, look at it, predict with it
	@script/demo

install: all    ## install below PREFIX (/usr/local; DESTDIR is honoured)
	cmake --install build --prefix $(PREFIX)

asan tsan:      ## the suite under the address and undefined-behaviour, or the thread sanitizer
	cmake --preset $@
	cmake --build --preset $@
	ctest --preset $@

fuzz:           ## run every fuzz target for FUZZ_SECONDS (60)
	@tools/fuzz $(FUZZ_SECONDS)

bench: all      ## ours and, where MEGA_PEER_PYTHON names a Python with PyTorch, the peers, in turn
	@build/mega bench models --problems bench/problems/lra.txt --steps 5 --warmup 2

check:          ## room order, file names and lengths, formatting
	@tools/check_rooms
	@tools/check_format

format:         ## let clang-format decide the cosmetics
	@tools/sources | xargs -0 clang-format -i

help:           ## this list
	@awk -F ':.*## ' '/^[a-z ]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: all test demo install asan tsan fuzz bench check format help
