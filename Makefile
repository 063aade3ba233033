# The memory servers: one non-recursive Makefile. `make help` lists what it can do.
#
# Sources are found by folder: a new .c file in a layer belongs to that layer, a new
# tests/unit/test_*.c or tests/stress/test_*.c is a test of its own. Each variant (plain, asan, tsan,
# fuzz) builds into a directory of its own below build/.

CC ?= cc
OBJCOPY ?= objcopy
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
# One place says which version this is.
VERSION := $(shell sed -n 's/^.define SMCLIENT_VERSION "\([0-9.]*\)".*/\1/p' common/client/smclient.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))
# Where Debian's python3 looks for modules: below /usr without its version, elsewhere with it.
PYTHON_VERSION = $(shell python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo 3)
PYTHONDIR ?= $(PREFIX)/lib/python$(if $(filter /usr,$(PREFIX)),3,$(PYTHON_VERSION))/dist-packages
PYTHON_SRC := $(wildcard deploy/python/smclient/*.py) deploy/python/smclient/py.typed

# A newer compiler may warn of more, which is no reason not to build: only .ci/run sets WERROR.
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(WERROR),-Werror)
# A user who chooses a level, or no optimisation, which _FORTIFY_SOURCE needs, gets no second definition.
FORTIFY = $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))$(filter -O0,$(CFLAGS)),,-D_FORTIFY_SOURCE=2)
HARDENING = -fstack-protector-strong -fPIE $(FORTIFY)
OPTIMISE ?= -O2 -g
SANITIZE ?=
ifneq ($(SANITIZE),)
HARDENING := -fPIE
endif
# CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS are the user's. They come after ours, and so win, but for the language
# and for what the library exports.
PREPROCESS = -I. -D_GNU_SOURCE -DMEMSERVER_VERSION='"$(VERSION)"' -MMD -MP $(MACROS) $(CPPFLAGS)
COMPILE = $(PREPROCESS) $(OPTIMISE) $(WARNINGS) $(HARDENING) -pthread $(CFLAGS) -std=c11 -fvisibility=hidden $(NO_LTO) $(SANITIZE)
LINK = $(CC) $(OPTIMISE) $(CFLAGS) -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(SANITIZE) $(LDFLAGS)
LIBRARIES = -lssl -lcrypto -lbsd $(LDLIBS)

comma := ,

# V=1 shows every command; without it a line says what is made.
ifeq ($(V),1)
say = @:
Q :=
else
say = @printf '  %-5s %s\n' '$(1)' '$@'
Q := @
endif

# What is in which program. The library is position independent; the daemons share its objects' sources.
SHARED_SRC := $(wildcard $(addprefix common/,base/*.c crypto/*.c host/*.c lock/*.c wire/*.c))
SERVER_SRC := $(wildcard common/server/*.c common/server/core/*.c)
# A server's folder: main.c, backend*.c for the client, and the rest for the store.
store = $(filter-out $(1)/main.c $(wildcard $(1)/backend*.c),$(wildcard $(1)/*.c))
CLIENT_SRC := $(wildcard common/client/*.c common/client/track/*.c common/remote/*.c smdish/backend*.c smuf/backend*.c smc/*.c)
SMDISH_STORE_SRC := $(call store,smdish)
SMUF_STORE_SRC := $(call store,smuf)
SMRUN_SRC := $(addprefix common/preload/,smrun.c progcheck.c)
PRELOAD_SRC := $(filter-out $(SMRUN_SRC),$(wildcard common/preload/*.c)) common/base/logline.c common/client/directive.c
BENCH_SRC := $(wildcard bench/*.c)
DEPLOY_SRC := $(wildcard deploy/*.c)
SMSTAT_SRC := $(wildcard deploy/smstat/*.c)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
pic = $(patsubst %.c,$(BUILD)/pic/%.o,$(1))

# What has testpoints is compiled once more for the tests, with them.
POINTED_SRC := $(shell grep -l 'base/testpoint.h' $(SHARED_SRC) $(CLIENT_SRC))
test = $(call obj,$(filter-out $(POINTED_SRC),$(1))) \
    $(patsubst %.c,$(BUILD)/pointed/%.o,$(filter $(POINTED_SRC),$(1)))

DAEMONS := $(BUILD)/smdishserver $(BUILD)/smufserver
LIBRARY := $(BUILD)/libsmclient.a $(BUILD)/libsmclient.so $(BUILD)/libsmpreload.so
PROGRAMS := $(DAEMONS) $(BUILD)/smbench $(BUILD)/smstat $(BUILD)/makemanifest $(BUILD)/smrun

# bash loads the completion of a program from a file with its name.
COMPLETED := $(notdir $(PROGRAMS)) mkpki

TEST_DIRS := tests/unit tests/stress tests/hostile tests/tamper tests/faults
TEST_SRC := $(wildcard $(addsuffix /test_*.c,$(TEST_DIRS)))
TEST_HELP_SRC := $(filter-out $(TEST_SRC),$(wildcard $(addsuffix /*.c,$(TEST_DIRS))))
PROTOCOL_SRC := $(wildcard tests/protocol/*.c)
TEST_BIN := $(patsubst %.c,$(BUILD)/tests/%,$(notdir $(TEST_SRC))) $(BUILD)/tests/test_protocol
# Where futexes wake nobody: the ticket lock without them, under the same tests.
TEST_NOFUTEX := $(BUILD)/tests/test_ticketlock_nofutex $(BUILD)/tests/test_smc_increments_nofutex
TEST_BIN += $(TEST_NOFUTEX)
# Where the kernel has no SO_PASSRIGHTS.
TEST_NO_OPTION := $(BUILD)/tests/test_closer_no_option
TEST_BIN += $(TEST_NO_OPTION)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)

.PHONY: all demo check check-all check-asan check-bounds check-build check-busy check-clang check-faults check-gramine check-hostile check-threads check-torture check-tsan check-valgrind check-model fuzz-smoke bench bench-gramine plots lint install uninstall clean help
.SECONDARY:
.DELETE_ON_ERROR:

all: $(PROGRAMS) $(LIBRARY)

help:
	@echo 'make all             the daemons, the libraries, smbench, smstat, smrun and makemanifest, into $(BUILD)/'
	@echo 'make demo            build, then smbench without arguments: what a critical section costs here'
	@echo 'make check [T=name]  build and run the tests, or those named, T="test_a test_b"'
	@echo 'make check-asan      the same under AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make check-tsan      the same under ThreadSanitizer; check-threads: the threaded ones only'
	@echo 'make check-busy      at a load of 8: the suite 3 times, the tests that judge times 50 times (many hours)'
	@echo 'make check-clang     the unit tests, built with clang'
	@echo 'make check-bounds    the table of smclient(3): what each call costs when a server does not answer'
	@echo 'make check-faults    each call of the daemons fails in turn (half an hour)'
	@echo 'make check-gramine   servers and clients in gramine-direct (GRAMINE=DIR, or in PATH)'
	@echo 'make check-nginx     Debian'\''s nginx, patched, with its zones in memory files (root, network, 5 minutes)'
	@echo 'make check-valgrind  the unit and protocol tests under valgrind'
	@echo 'make check-hostile   attacks on the servers, the long form, and their table (a quiet machine)'
	@echo 'make check-torture   random rounds for SECONDS (600) seconds; SEED=n repeats the choices'
	@echo 'make check-model     spin on the models of smc'\''s lock, and on their mutants (4 minutes)'
	@echo 'make fuzz-smoke      each fuzz target for FUZZ_SECONDS (30) seconds (clang)'
	@echo 'make check-all       all of these, one after the other (about an hour)'
	@echo 'make bench           every figure of the design with its target and verdict'
	@echo 'make bench-compare   the table of smbench, from the commit BASE and from this tree in turn; ROUNDS=8'
	@echo 'make bench-gramine   what a critical section costs in gramine-direct, beside native (5 minutes)'
	@echo 'make eval-nginx      nginx with its zones in memory files, beside one with its own (SHORT=1: 45 seconds; else an hour)'
	@echo 'make plots           measures and draws bench/plots/*.svg (gnuplot, optional)'
	@echo 'make lint            layers, circles, citations, tables, headers, style, cppcheck'
	@echo 'make install         into $$DESTDIR$$PREFIX (PREFIX=$(PREFIX)); make uninstall'
	@echo 'make deb             Debian packages, into $(BUILD)/deb/ (apt-get build-dep: see README.md)'
	@echo 'make check-packages  README.md and the packages in fresh roots of SUITES (bookworm trixie); as root, long'
	@echo 'WERROR=1             with any of these: a warning of the compiler is an error'
	@echo 'make clean           removes $(BUILD)/'

# What a build needs: the headers, and Debian's packages that have them.
NEEDED := bsd/stdlib.h=libbsd-dev openssl/ssl.h=libssl-dev
$(BUILD)/found: Makefile
	@mkdir -p $(@D)
	@command -v $(firstword $(CC)) >/dev/null || \
	    { echo '$(firstword $(CC)) is missing: apt-get install gcc, or set CC' >&2; exit 1; }
	@for each in $(NEEDED); do \
	    echo "#include <$${each%=*}>" | $(CC) $(CPPFLAGS) $(CFLAGS) -E -x c - >/dev/null 2>&1 || \
		{ echo "$${each%=*} is missing: apt-get install $${each#*=}" >&2; exit 1; }; \
	done
	@touch $@

$(BUILD)/obj/%.o: %.c Makefile | $(BUILD)/found
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(COMPILE) -c -o $@ $<

$(BUILD)/pic/%.o: %.c Makefile | $(BUILD)/found
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(COMPILE) -fPIC -c -o $@ $<

$(BUILD)/pointed/%.o: %.c Makefile | $(BUILD)/found
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(COMPILE) -DTESTPOINTS -c -o $@ $<

$(BUILD)/smdishserver: $(call obj,$(SHARED_SRC) $(SERVER_SRC) $(SMDISH_STORE_SRC) smdish/main.c)
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES)

$(BUILD)/smufserver: $(call obj,$(SHARED_SRC) $(SERVER_SRC) $(SMUF_STORE_SRC) smuf/main.c)
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES)

# One object with the internal names made local: a program may have a file_open() of its own. What -flto left to
# compile is compiled first: the users of the library need no compiler of the same version.
RELOCATE = $(if $(findstring -flto,$(CFLAGS)),$(CC) $(OPTIMISE) $(CFLAGS) -fPIC $(RELOCATE_LTO) -nostdlib,$(LD))
RELOCATE_LTO = $(if $(findstring clang,$(CC)),$(filter -fuse-ld=%,$(LDFLAGS)),-flinker-output=nolto-rel)
$(BUILD)/libsmclient.a: $(call pic,$(SHARED_SRC) $(CLIENT_SRC))
	$(call say,AR)
	$(Q)rm -f $@
	$(Q)$(RELOCATE) -r -o $(BUILD)/smclient.o $^
	$(Q)$(OBJCOPY) --localize-hidden $(BUILD)/smclient.o
	$(Q)$(AR) rcs $@ $(BUILD)/smclient.o

$(BUILD)/libsmclient.so: $(call pic,$(SHARED_SRC) $(CLIENT_SRC)) common/client/smclient.map
	$(call say,LD)
	$(Q)$(LINK) -fPIC -shared -Wl,-soname,libsmclient.so.$(SOVERSION) \
	    -Wl,--version-script=common/client/smclient.map $(if $(SANITIZE),,-Wl,-z,defs) \
	    -o $@ $(filter %.o,$^) $(LIBRARIES)
	$(Q)ln -sf libsmclient.so $@.$(SOVERSION)

# Of the C library only: it loads libsmclient when a program uses a mount. Its own calls of functions that it
# stands in front of stay in it: another preloaded library might call them in turn.
# -flto would see two functions of one name: ours, and that of the C library, which we call.
$(call pic,$(PRELOAD_SRC)): NO_LTO := -fno-lto
$(BUILD)/libsmpreload.so: $(call pic,$(PRELOAD_SRC))
	$(call say,LD)
	$(Q)$(LINK) -fPIC -shared -Wl,-Bsymbolic-functions $(if $(SANITIZE),,-Wl,-z,defs) -o $@ $^

# The library's names are local to it.
$(BUILD)/smbench: $(call obj,$(BENCH_SRC) $(SHARED_SRC)) $(BUILD)/libsmclient.a
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES)

# These read mounts as the library does, and so need its insides.
$(BUILD)/makemanifest: $(call obj,$(DEPLOY_SRC)) $(call pic,$(SHARED_SRC) $(CLIENT_SRC))
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES)

$(BUILD)/smstat: $(call obj,$(SMSTAT_SRC)) $(call pic,$(SHARED_SRC) $(CLIENT_SRC))
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES)

$(BUILD)/smrun: $(call obj,$(SMRUN_SRC)) $(call pic,$(SHARED_SRC) $(CLIENT_SRC))
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES)

# Tests are linked with everything; the archives leave out what a test does not use.
$(BUILD)/libtest.a: $(call test,$(SHARED_SRC) $(SERVER_SRC) $(CLIENT_SRC) $(SMDISH_STORE_SRC) $(SMUF_STORE_SRC) \
    $(filter-out deploy/makemanifest.c,$(DEPLOY_SRC)) common/preload/mountwords.c $(TEST_HELP_SRC))
	$(call say,AR)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES) -lcmocka

$(BUILD)/tests/%: $(BUILD)/obj/tests/stress/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES) -lcmocka

$(BUILD)/tests/%: $(BUILD)/obj/tests/hostile/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES) -lcmocka

$(BUILD)/tests/%: $(BUILD)/obj/tests/tamper/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES) -lcmocka

# The calls that tests/faults/faults.c makes fail, or counts; clock_now() and notify_send() are ours.
WRAPPED := malloc calloc realloc reallocarray strdup free mmap munmap mprotect ftruncate pwrite pread openat \
    write send recv accept4 epoll_ctl epoll_wait getrandom clock_now notify_send
WRAP := $(addprefix -Wl$(comma)--wrap=,$(WRAPPED))

$(BUILD)/tests/%: $(BUILD)/obj/tests/faults/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LINK) $(WRAP) -pie -o $@ $^ $(LIBRARIES) -lcmocka

# Reads what all tests together noted of nonces and key stream.
$(BUILD)/noncecheck: $(BUILD)/obj/tests/nonces/check.o
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^

# How long something may take on this machine now, for the scripts.
$(BUILD)/patience: $(BUILD)/obj/tests/system/patience.o $(BUILD)/libtest.a
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES)

# The product's programs where the system answers as in a library OS, and a client of them.
RIG := $(BUILD)/libos $(BUILD)/libos.so $(BUILD)/counter
$(BUILD)/libos: $(BUILD)/obj/tests/ground/launch.o $(BUILD)/libtest.a
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES)

$(BUILD)/libos.so: $(BUILD)/pic/tests/ground/interposer.o
	$(call say,LD)
	$(Q)$(LINK) -shared -o $@ $^

$(BUILD)/counter: $(BUILD)/obj/tests/ground/counter.o $(BUILD)/libsmclient.a
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES)

$(BUILD)/nofutex/ticketlock.o: common/lock/ticketlock.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(COMPILE) -DTESTPOINTS -DTICKETLOCK_NO_FUTEX -c -o $@ $<

$(BUILD)/tests/test_ticketlock_nofutex: $(BUILD)/obj/tests/unit/test_ticketlock.o
$(BUILD)/tests/test_smc_increments_nofutex: $(BUILD)/obj/tests/stress/test_smc_increments.o
$(TEST_NOFUTEX): $(BUILD)/nofutex/ticketlock.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $(filter $(BUILD)/obj/%,$^) $(filter-out $(BUILD)/obj/%,$^) $(LIBRARIES) -lcmocka

$(BUILD)/no_option/rights.o: common/base/rights.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(COMPILE) -DRIGHTS_NO_OPTION -c -o $@ $<

$(TEST_NO_OPTION): $(BUILD)/obj/tests/unit/test_closer.o $(BUILD)/no_option/rights.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES) -lcmocka

$(BUILD)/tests/test_protocol: $(call obj,$(PROTOCOL_SRC)) $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES) -lcmocka

# The library as it is shipped, under helpers of the tests.
TORTURE_SRC := $(wildcard tests/torture/*.c)
$(BUILD)/torture: $(call obj,$(TORTURE_SRC)) $(BUILD)/libsmclient.a $(BUILD)/libtest.a
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBRARIES) -lcmocka

# The programs of T, or all.
wanted = $(if $(T),$(filter $(addprefix $(BUILD)/tests/,$(T)),$(1)),$(1))

check-build: all $(call wanted,$(TEST_BIN)) $(BUILD)/noncecheck $(BUILD)/patience $(BUILD)/torture $(RIG)

# tests/run prints one line a test and a last line that counts them.
check: check-build
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) CC='$(CC)' tests/run $(T)

# With GOAL=check-build, the variants below build what they run, and run nothing.
GOAL ?= check
check-asan:
	+ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    $(MAKE) $(GOAL) BUILD=$(BUILD)/asan VARIANT=asan OPTIMISE='-O1 -g -fno-omit-frame-pointer' \
	    SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all'

check-tsan:
	+TSAN_OPTIONS=halt_on_error=1 $(MAKE) $(GOAL) BUILD=$(BUILD)/tsan VARIANT=tsan OPTIMISE='-O1 -g' \
	    SANITIZE='-fsanitize=thread'

# The short form of check-tsan: the tests with many threads.
THREADED := test_client_mux test_client_mux_silence test_client_mux_failures test_client_mux_full test_client_filelock test_threads \
    test_fork test_closing test_fork_openssl test_libctx_fork test_preload_sections test_revoked_threads
check-threads:
	+$(MAKE) check-tsan T='$(THREADED)'

# SUITES, TIMES, SIDE and LOAD are in tests/busy.
check-busy: check-build
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) CC='$(CC)' tests/busy $(T)

# test_faults with every call of every kind, and more cases of test_wild_peers.
check-faults:
	+FAULTS=all WILD_CASES=2000 TEST_SECONDS=3600 $(MAKE) check T='test_faults test_wild_peers'

# What every call costs when a server does not answer: the table of smclient(3).
check-bounds:
	+SILENCE=30 $(MAKE) check T=test_bounds

# The programs in Gramine, where it is.
check-gramine: all $(BUILD)/counter $(BUILD)/patience
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) CC='$(CC)' tests/gramine/run $(T)

# Debian's nginx, patched; KINDS and WORKERS choose.
.PHONY: check-nginx
check-nginx: all $(BUILD)/patience
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) tests/nginx/run

# The unit tests, built with clang.
check-clang:
	+$(MAKE) $(GOAL) CC=clang BUILD=$(BUILD)/clang T='$(filter test_%,$(notdir $(basename $(wildcard tests/unit/test_*))))'

# Everything but check-hostile, which wants a quiet machine; takes about an hour.
check-all:
	+$(MAKE) check
	+$(MAKE) check-asan
	+$(MAKE) check-tsan
	+$(MAKE) check-clang
	+$(MAKE) check-faults
	+$(MAKE) check-valgrind
	+$(MAKE) check-model
	+$(MAKE) check-torture
	+$(MAKE) fuzz-smoke
	+$(MAKE) lint

check-valgrind: all $(TEST_BIN) $(BUILD)/patience
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) CC='$(CC)' VALGRIND=1 tests/run $(T)

# The long form of the hostile tests, with a table of what an attack costs an honest client.
HOSTILE_TESTS := $(notdir $(basename $(wildcard tests/hostile/test_*.c)))
check-hostile:
	+@HOSTILE=full TEST_SECONDS=900 tests/hostile/table '$(BUILD)' $(MAKE) check T='$(if $(T),$(T),$(HOSTILE_TESTS))'

# Random rounds over all three kinds, for SECONDS seconds; SEED=n has the choices of an earlier run.
SECONDS ?= 600
check-torture: all $(BUILD)/torture
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) $(BUILD)/torture --seconds $(SECONDS) \
	    $(if $(SEED),--seed $(SEED)) $(if $(KIND),--kind $(KIND)) $(if $(PLANT),--plant)

check-model:
	@CC='$(CC)' tests/model/run

# Fuzz targets want clang; everything they reach is built with coverage and the sanitizers.
FUZZ_SECONDS ?= 30
FUZZ_BUILD := $(BUILD)/fuzz
fuzz-smoke:
	+$(MAKE) fuzz-run CC=clang BUILD=$(FUZZ_BUILD) OPTIMISE='-O1 -g' \
	    SANITIZE='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all'

.PHONY: fuzz-run
fuzz-run: $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(FUZZ_SRC))
	@BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run $(notdir $^)

# Two more targets are whole daemons, whose calls tests/faults/faults.c makes fail.
$(BUILD)/fuzz_daemon $(BUILD)/fuzz_daemon_smuf: FUZZ_WRAP = $(WRAP)
$(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/libtest.a
	$(call say,LD)
	$(Q)$(LINK) $(FUZZ_WRAP) -fsanitize=fuzzer -o $@ $^ $(LIBRARIES)

demo: all
	$(BUILD)/smbench

bench: all
	$(BUILD)/smbench --targets $(BENCHFLAGS)

# The costs of the commit BASE and of this tree, in turn.
.PHONY: bench-compare
bench-compare: all
	rm -rf $(BUILD)/base && mkdir -p $(BUILD)/base
	git archive $(BASE) | tar -x -C $(BUILD)/base
	+$(MAKE) -C $(BUILD)/base
	python3 bench/compare.py $(BUILD)/base/build $(BUILD) $(ROUNDS)

bench-gramine: all $(BUILD)/counter $(BUILD)/patience
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) CC='$(CC)' tests/gramine/table

# What the workers serve first, byte by byte, and then how fast. The short form only looks at a file of each size first.
.PHONY: eval-nginx
eval-nginx: all $(BUILD)/patience
	@deploy/nginx/build $(abspath $(BUILD))/nginx
	$(if $(SHORT),,@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) KILLS=0 tests/nginx/run)
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) NGINX_PROGRAM=$(abspath $(BUILD))/nginx/nginx \
	    python3 deploy/nginx/eval.py $(if $(SHORT),--short,--plots $(BUILD)/nginx/plots) $(EVALFLAGS)

plots: all
	@mkdir -p $(BUILD)/plots bench/plots
	$(BUILD)/smbench --plot-data $(BUILD)/plots
	@if command -v gnuplot >/dev/null; then \
	    gnuplot -e "data='$(BUILD)/plots'; out='bench/plots'" bench/plot.gp; \
	else \
	    echo 'gnuplot is not installed: the data are in $(BUILD)/plots, nothing was drawn'; \
	fi

lint:
	CC='$(CC)' tests/lint/run

# A manual page is installed because it is there.
MANUALS := $(shell find bench common deploy smc smdish smuf -name '*.[1-8]')
SYSTEMD := $(PREFIX)/lib
SONAME := libsmclient.so.$(SOVERSION)

# What is installed, for the verbs below, put and take: $(call VERB,MODE,DIRECTORY,FILES). A FILE.in becomes FILE, with
# the paths filled in; a versioned script says its version. $(call VERB_link,FILE,DIRECTORY,NAMES).
define installed
$(call $(1),755,$(PREFIX)/bin,$(PROGRAMS))
$(call $(1)_versioned,755,$(PREFIX)/bin,deploy/mkpki)
$(call $(1),644,$(PREFIX)/include,common/client/smclient.h)
$(call $(1),644,$(LIBDIR),$(BUILD)/libsmclient.a)
$(call $(1),755,$(LIBDIR),$(BUILD)/$(SONAME))
$(call $(1)_link,$(SONAME),$(LIBDIR),libsmclient.so)
$(call $(1),755,$(PREFIX)/lib/memserver,$(BUILD)/libsmpreload.so)
$(call $(1)_filled,644,$(LIBDIR)/pkgconfig,common/client/smclient.pc.in)
$(call $(1)_filled,644,$(SYSTEMD)/systemd/system,$(wildcard deploy/systemd/*.service.in))
$(call $(1),644,$(SYSTEMD)/systemd/system,$(wildcard deploy/systemd/*.socket))
$(call $(1),644,$(SYSTEMD)/sysusers.d,deploy/systemd/sysusers.d/memserver.conf)
$(call $(1),644,$(SYSTEMD)/tmpfiles.d,deploy/systemd/tmpfiles.d/memserver.conf)
$(foreach section,$(sort $(subst .,,$(suffix $(MANUALS)))),$(call $(1),644,$(PREFIX)/share/man/man$(section),$(filter %.$(section),$(MANUALS)))
)
$(call $(1)_link,smdishserver.8,$(PREFIX)/share/man/man8,smufserver.8)
$(call $(1),644,$(PREFIX)/share/bash-completion/completions,deploy/bash-completion)
$(call $(1)_link,bash-completion,$(PREFIX)/share/bash-completion/completions,$(COMPLETED))
$(call $(1),644,$(PYTHONDIR)/smclient,$(PYTHON_SRC))
endef

# DESTDIR may have spaces.
put = @install -d '$(DESTDIR)$(2)' && install -m $(1) $(3) '$(DESTDIR)$(2)' && echo '  PUT   $(2): $(notdir $(3))'
put_filled = @install -d '$(DESTDIR)$(2)' && for each in $(3); do \
    file='$(DESTDIR)$(2)'/$$(basename "$$each" .in) && sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@VERSION@|$(VERSION)|g' \
	-e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|g' "$$each" >"$$file" && chmod $(1) "$$file" || exit 1; \
    done && echo '  PUT   $(2): $(notdir $(3:.in=))'
put_versioned = @sed 's|^version=.*|version=$(VERSION)|' $(3) >'$(DESTDIR)$(2)/$(notdir $(3))' && \
    chmod $(1) '$(DESTDIR)$(2)/$(notdir $(3))' && echo '  PUT   $(2): $(notdir $(3))'
put_link = @for each in $(3); do ln -sf $(1) '$(DESTDIR)$(2)'/$$each || exit 1; done && echo '  PUT   $(2): $(3)'
take = @cd '$(DESTDIR)$(2)' 2>/dev/null && rm -f $(notdir $(3)) && echo '  TAKE  $(2): $(notdir $(3))' || true
take_filled = $(call take,$(1),$(2),$(3:.in=))
take_versioned = $(take)
take_link = $(call take,,$(2),$(3))

install: all
	$(call installed,put)
	@[ -n '$(DESTDIR)' ] || deploy/loader '$(LIBDIR)/$(SONAME)'

uninstall:
	$(call installed,take)
	@rmdir '$(DESTDIR)$(PREFIX)/lib/memserver' '$(DESTDIR)$(PYTHONDIR)/smclient' 2>/dev/null || true

# Debian's packages, from deploy/debian, which Debian's tools want to be debian/ at the top: they work in a copy.
DEB_SOURCE := $(BUILD)/deb/memserver-$(VERSION)
DEBFLAGS ?= -us -uc
.PHONY: deb deb-source check-packages
deb-source:
	@rm -rf $(BUILD)/deb
	@mkdir -p $(DEB_SOURCE)
	@{ git ls-files -z 2>/dev/null || find . \( -name .git -o -path ./build \) -prune -o -type f -print0; } | \
	    tar -c --null -T - | tar -x -C $(DEB_SOURCE)
	@mv $(DEB_SOURCE)/deploy/debian $(DEB_SOURCE)/debian

deb: deb-source
	cd $(DEB_SOURCE) && dpkg-buildpackage $(DEBFLAGS)
	@ls $(BUILD)/deb/*.deb

# Installs, upgrades, removes and purges them in fresh roots; needs root, debootstrap and a mirror of Debian.
check-packages:
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) T='$(T)' tests/packages/run $(SUITES)

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -path $(BUILD)/deb -prune -o -type f -name '*.d' -print 2>/dev/null)
