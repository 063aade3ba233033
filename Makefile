# The memory servers: one non-recursive Makefile. `make help` lists what it can do.
#
# Sources are found by folder: a new .c file in a layer belongs to that layer, a new
# tests/unit/test_*.c or tests/stress/test_*.c is a test of its own. Each variant (plain, asan, tsan,
# fuzz) builds into a directory of its own below build/.

CC ?= cc
OBJCOPY ?= objcopy
BUILD ?= build
PREFIX ?= /usr/local
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
HARDENING := -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2
OPTIMISE ?= -O2 -g
SANITIZE ?=
ifneq ($(SANITIZE),)
HARDENING := -fPIE
endif
CPPFLAGS += -I. -D_GNU_SOURCE -DMEMSERVER_VERSION='"$(VERSION)"' -MMD -MP $(MACROS)
CFLAGS := -std=c11 $(OPTIMISE) $(WARNINGS) $(HARDENING) -fvisibility=hidden -pthread $(SANITIZE)
LDFLAGS += -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(SANITIZE)
LDLIBS := -lssl -lcrypto -lbsd

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
SMRUN_SRC := $(addprefix common/preload/,smrun.c progcheck.c mountwords.c) common/base/commandline.c
PRELOAD_SRC := $(filter-out common/preload/smrun.c common/preload/progcheck.c,$(wildcard common/preload/*.c))
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
LIBRARY := $(BUILD)/libsmclient.a $(BUILD)/libsmclient.so $(BUILD)/smclient.pc $(BUILD)/libsmpreload.so
PROGRAMS := $(DAEMONS) $(BUILD)/smbench $(BUILD)/smstat $(BUILD)/makemanifest $(BUILD)/smrun

# Each goes to man/manN; smufserver(8) is the page of smdishserver(8).
MANUALS := bench/smbench.1 common/client/smclient.3 common/client/smclient.conf.5 common/preload/smpreload.7 common/preload/smrun.1 common/server/smdishserver.8 common/server/smserver.conf.5 deploy/makemanifest.1 deploy/mkpki.1 deploy/smstat/smstat.1

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
	@echo 'make check-valgrind  the unit and protocol tests under valgrind'
	@echo 'make check-hostile   attacks on the servers, the long form, and their table (a quiet machine)'
	@echo 'make check-torture   random rounds for SECONDS (600) seconds; SEED=n repeats the choices'
	@echo 'make check-model     spin on the models of smc'\''s lock, and on their mutants (4 minutes)'
	@echo 'make fuzz-smoke      each fuzz target for FUZZ_SECONDS (30) seconds (clang)'
	@echo 'make check-all       all of these, one after the other (about an hour)'
	@echo 'make bench           every figure of the design with its target and verdict'
	@echo 'make bench-gramine   what a critical section costs in gramine-direct, beside native (5 minutes)'
	@echo 'make plots           measures and draws bench/plots/*.svg (gnuplot, optional)'
	@echo 'make lint            layers, circles, citations, tables, headers, style, cppcheck'
	@echo 'make install         into $$DESTDIR$$PREFIX (PREFIX=$(PREFIX)); make uninstall'
	@echo 'WERROR=1             with any of these: a warning of the compiler is an error'
	@echo 'make clean           removes $(BUILD)/'

# What a build needs: the headers, and Debian's packages that have them.
NEEDED := bsd/stdlib.h=libbsd-dev openssl/ssl.h=libssl-dev
$(BUILD)/found: Makefile
	@mkdir -p $(@D)
	@command -v $(firstword $(CC)) >/dev/null || \
	    { echo '$(firstword $(CC)) is missing: apt-get install gcc, or set CC' >&2; exit 1; }
	@for each in $(NEEDED); do \
	    echo "#include <$${each%=*}>" | $(CC) $(filter -I%,$(CPPFLAGS) $(CFLAGS)) -E -x c - >/dev/null 2>&1 || \
		{ echo "$${each%=*} is missing: apt-get install $${each#*=}" >&2; exit 1; }; \
	done
	@touch $@

$(BUILD)/obj/%.o: %.c Makefile | $(BUILD)/found
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/pic/%.o: %.c Makefile | $(BUILD)/found
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -c -o $@ $<

$(BUILD)/pointed/%.o: %.c Makefile | $(BUILD)/found
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) -DTESTPOINTS $(CFLAGS) -c -o $@ $<

$(BUILD)/smdishserver: $(call obj,$(SHARED_SRC) $(SERVER_SRC) $(SMDISH_STORE_SRC) smdish/main.c)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS)

$(BUILD)/smufserver: $(call obj,$(SHARED_SRC) $(SERVER_SRC) $(SMUF_STORE_SRC) smuf/main.c)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS)

# One object with the internal names made local: a program may have a file_open() of its own.
$(BUILD)/libsmclient.a: $(call pic,$(SHARED_SRC) $(CLIENT_SRC))
	$(call say,AR)
	$(Q)rm -f $@
	$(Q)$(LD) -r -o $(BUILD)/smclient.o $^
	$(Q)$(OBJCOPY) --localize-hidden $(BUILD)/smclient.o
	$(Q)$(AR) rcs $@ $(BUILD)/smclient.o

$(BUILD)/libsmclient.so: $(call pic,$(SHARED_SRC) $(CLIENT_SRC)) common/client/smclient.map
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libsmclient.so.$(SOVERSION) \
	    -Wl,--version-script=common/client/smclient.map $(if $(SANITIZE),,-Wl,-z,defs) \
	    -o $@ $(filter %.o,$^) $(LDLIBS)
	$(Q)ln -sf libsmclient.so $@.$(SOVERSION)

# Of the C library only: it loads libsmclient when a program uses a mount. Its own calls of functions that it
# stands in front of stay in it: another preloaded library might call them in turn.
$(BUILD)/libsmpreload.so: $(call pic,$(PRELOAD_SRC))
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-Bsymbolic-functions $(if $(SANITIZE),,-Wl,-z,defs) -o $@ $^

$(BUILD)/smclient.pc: common/client/smclient.pc.in Makefile
	$(call say,GEN)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

# The library's names are local to it.
$(BUILD)/smbench: $(call obj,$(BENCH_SRC) $(SHARED_SRC)) $(BUILD)/libsmclient.a
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS)

$(BUILD)/smrun: $(call obj,$(SMRUN_SRC))
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^

# These read mounts as the library does, and so need its insides.
$(BUILD)/makemanifest: $(call obj,$(DEPLOY_SRC)) $(call pic,$(SHARED_SRC) $(CLIENT_SRC))
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS)

$(BUILD)/smstat: $(call obj,$(SMSTAT_SRC)) $(call pic,$(SHARED_SRC) $(CLIENT_SRC))
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS)

# Tests are linked with everything; the archives leave out what a test does not use.
$(BUILD)/libtest.a: $(call test,$(SHARED_SRC) $(SERVER_SRC) $(CLIENT_SRC) $(SMDISH_STORE_SRC) $(SMUF_STORE_SRC) \
    $(filter-out deploy/makemanifest.c,$(DEPLOY_SRC)) $(TEST_HELP_SRC))
	$(call say,AR)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS) -lcmocka

$(BUILD)/tests/%: $(BUILD)/obj/tests/stress/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS) -lcmocka

$(BUILD)/tests/%: $(BUILD)/obj/tests/hostile/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS) -lcmocka

$(BUILD)/tests/%: $(BUILD)/obj/tests/tamper/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS) -lcmocka

# The calls that tests/faults/faults.c makes fail, or counts; clock_now() and notify_send() are ours.
WRAPPED := malloc calloc realloc reallocarray strdup free mmap munmap mprotect ftruncate pwrite pread openat \
    write send recv accept4 epoll_ctl epoll_wait getrandom clock_now notify_send
WRAP := $(addprefix -Wl$(comma)--wrap=,$(WRAPPED))

$(BUILD)/tests/%: $(BUILD)/obj/tests/faults/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $(WRAP) -pie -o $@ $^ $(LDLIBS) -lcmocka

# Reads what all tests together noted of nonces and key stream.
$(BUILD)/noncecheck: $(BUILD)/obj/tests/nonces/check.o
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^

# How long something may take on this machine now, for the scripts.
$(BUILD)/patience: $(BUILD)/obj/tests/system/patience.o $(BUILD)/libtest.a
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS)

# The product's programs where the system answers as in a library OS, and a client of them.
RIG := $(BUILD)/libos $(BUILD)/libos.so $(BUILD)/counter
$(BUILD)/libos: $(BUILD)/obj/tests/ground/launch.o $(BUILD)/libtest.a
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS)

$(BUILD)/libos.so: $(BUILD)/pic/tests/ground/interposer.o
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -shared -o $@ $^

$(BUILD)/counter: $(BUILD)/obj/tests/ground/counter.o $(BUILD)/libsmclient.a
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS)

$(BUILD)/nofutex/ticketlock.o: common/lock/ticketlock.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) -DTESTPOINTS -DTICKETLOCK_NO_FUTEX $(CFLAGS) -c -o $@ $<

$(BUILD)/tests/test_ticketlock_nofutex: $(BUILD)/obj/tests/unit/test_ticketlock.o
$(BUILD)/tests/test_smc_increments_nofutex: $(BUILD)/obj/tests/stress/test_smc_increments.o
$(TEST_NOFUTEX): $(BUILD)/nofutex/ticketlock.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $(filter $(BUILD)/obj/%,$^) $(filter-out $(BUILD)/obj/%,$^) $(LDLIBS) -lcmocka

$(BUILD)/no_option/rights.o: common/base/rights.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) -DRIGHTS_NO_OPTION $(CFLAGS) -c -o $@ $<

$(TEST_NO_OPTION): $(BUILD)/obj/tests/unit/test_closer.o $(BUILD)/no_option/rights.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS) -lcmocka

$(BUILD)/tests/test_protocol: $(call obj,$(PROTOCOL_SRC)) $(BUILD)/libtest.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS) -lcmocka

# The library as it is shipped, under helpers of the tests.
TORTURE_SRC := $(wildcard tests/torture/*.c)
$(BUILD)/torture: $(call obj,$(TORTURE_SRC)) $(BUILD)/libsmclient.a $(BUILD)/libtest.a
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -pie -o $@ $^ $(LDLIBS) -lcmocka

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
    test_fork test_closing test_fork_openssl test_libctx_fork test_preload_sections
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
	$(Q)$(CC) $(LDFLAGS) $(FUZZ_WRAP) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

demo: all
	$(BUILD)/smbench

bench: all
	$(BUILD)/smbench --targets $(BENCHFLAGS)

bench-gramine: all $(BUILD)/counter $(BUILD)/patience
	@SRC=$(CURDIR) BUILD=$(abspath $(BUILD)) CC='$(CC)' tests/gramine/table

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

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	for page in $(MANUALS); do \
	    install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || exit 1; \
	done
	ln -sf smdishserver.8 $(DESTDIR)$(PREFIX)/share/man/man8/smufserver.8
	install -m 644 deploy/bash-completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/memserver
	for program in $(COMPLETED); do \
	    ln -sf memserver $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$program || exit 1; \
	done
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	sed 's|^version=.*|version=$(VERSION)|' deploy/mkpki > $(DESTDIR)$(PREFIX)/bin/mkpki
	chmod 755 $(DESTDIR)$(PREFIX)/bin/mkpki
	install -m 644 common/client/smclient.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/libsmclient.a $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(BUILD)/libsmclient.so $(DESTDIR)$(PREFIX)/lib/libsmclient.so.$(SOVERSION)
	ln -sf libsmclient.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libsmclient.so
	install -m 755 $(BUILD)/libsmpreload.so $(DESTDIR)$(PREFIX)/lib
	install -d $(DESTDIR)$(PYTHONDIR)/smclient
	install -m 644 $(PYTHON_SRC) $(DESTDIR)$(PYTHONDIR)/smclient
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' common/client/smclient.pc.in \
	    > $(DESTDIR)$(PREFIX)/lib/pkgconfig/smclient.pc

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(notdir $(PROGRAMS)) mkpki)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/lib/,libsmclient.a libsmclient.so libsmclient.so.$(SOVERSION) \
	    libsmpreload.so pkgconfig/smclient.pc)
	rm -f $(foreach page,$(MANUALS) smufserver.8,$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/bash-completion/completions/,memserver $(COMPLETED))
	rm -f $(DESTDIR)$(PREFIX)/include/smclient.h
	rm -rf $(DESTDIR)$(PYTHONDIR)/smclient

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
