# rung: `make` leaves the program at ./rung; `make help` lists what else there is.
#
# CC, CFLAGS, CPPFLAGS and LDFLAGS from outside are added to ours and come last.
# WERROR=1, or CI in the environment, makes warnings errors.

# ---- what rung is made of, lowest layer first ----------------------------------------

LIBRARY = base checksum source sqlfile digest lexer cursor kind place window split judge rules alter lint conninfo watch pg \
	ledger foreign trust session batch settle apply chain plan survey kept lock pooler step record review runner \
	undo author renumber psql script show
IMPORT  = text convert match marks dialect alembic tables adopt import
PROGRAM = main commands options words help progress report json github listing compare diff process base_revision throwaway testing terminal

B      ?= build
OUT    ?= .
PREFIX ?= /usr/local

# A module that is listed but not written yet is left out.
present         = $(basename $(wildcard $(addsuffix .c,$(1))))
LIBRARY_OBJECTS = $(patsubst %,$(B)/%.o,$(call present,$(LIBRARY)))
PROGRAM_OBJECTS = $(patsubst %,$(B)/%.o,$(call present,$(PROGRAM)))
IMPORT_OBJECTS  = $(patsubst %,$(B)/%.o,$(filter-out main commands help throwaway testing,$(PROGRAM)) $(call present,$(IMPORT)))
UNIT_TESTS      = $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))

SOURCES  = $(addsuffix .c,$(call present,$(LIBRARY) $(PROGRAM) $(IMPORT))) $(wildcard tests/unit/*.c tests/fault/*.c tests/fuzz/*.c tests/bench/*.c) \
	tests/oracle/oracle.c tests/oracle/parser.c
HEADERS  = $(wildcard *.h tests/lib/*.h tests/unit/*.h tests/fuzz/*.h tests/oracle/*.h)
SCRIPTS  = $(wildcard scripts/* .ci/run tests/run tests/fault/crash tests/fault/restart tests/fuzz/run tests/oracle/run tests/lib/*.sh tests/lib/*.bash)

# Include PostgreSQL's own headers, or ours where it is installed: clang-tidy finds neither.
FOREIGN  = tests/oracle/scanner.c $(wildcard tests/examples/*.c)

# The version stands in runner.h and nowhere else.
VERSION  = $(shell sed -n 's/^.define RUNG_VERSION "\(.*\)"/\1/p' runner.h)

# ---- how it is compiled --------------------------------------------------------------

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wwrite-strings \
	-Wcast-qual -Wundef -Wimplicit-fallthrough -Wswitch-enum
ifneq ($(WERROR)$(CI),)
WARNINGS += -Werror
endif

# $(call probe,FLAG): FLAG if the compiler and linker take it, else nothing.
probe = $(shell echo 'int main(void) { return 0; }' | \
	$(CC) -Werror -O1 $(1) -x c -o /dev/null - 2>/dev/null && echo '$(1)')
, := ,

ifdef SANITIZE # given by `make asan`; fortified functions would hide bugs from it
OURS      := -g -O1 -fno-omit-frame-pointer $(SANITIZE)
OURS_LINK := $(SANITIZE)
else
OURS      := -g -O2 $(foreach flag,-fstack-protector-strong -fstack-clash-protection \
	-fcf-protection -fPIE,$(call probe,$(flag)))
OURS_LINK := $(foreach flag,-pie -Wl$(,)-z$(,)relro$(,)-z$(,)now -Wl$(,)--as-needed,$(call \
	probe,$(flag)))
ifeq ($(filter -O0,$(CFLAGS)),) # _FORTIFY_SOURCE needs optimisation
OURS      += $(call probe,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif
endif

# libpq and libcrypto.  pqexpbuffer.h is exported by libpq, but distributions install it
# in different places.  -isystem: other people's headers need not meet our warnings.
PKG_CONFIG ?= pkg-config
PQ_INCLUDE := $(shell $(PKG_CONFIG) --variable=includedir libpq 2>/dev/null || \
	pg_config --includedir 2>/dev/null || echo /usr/include)
PQ_INTERNAL := $(firstword $(wildcard $(patsubst %,$(PQ_INCLUDE)/%/pqexpbuffer.h, \
	internal postgresql/internal pgsql/internal postgresql/server/internal)))
INCLUDES   := -I. $(addprefix -isystem ,$(filter-out /usr/include,$(PQ_INCLUDE)) \
	$(patsubst %/,%,$(dir $(PQ_INTERNAL)))) \
	$(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags-only-I libcrypto 2>/dev/null))
LIBS       := $(shell $(PKG_CONFIG) --libs libpq libcrypto 2>/dev/null || \
	echo "-L`pg_config --libdir` -lpq -lcrypto")

# V=1 shows whole commands, -s nothing.
ifdef V
say =
else ifneq ($(findstring s,$(firstword -$(MAKEFLAGS))),)
say = @
else
say = @echo '$(1) $@';
endif

COMPILE = $(CC) -std=c11 -D_POSIX_C_SOURCE=200809L $(INCLUDES) $(OURS) $(WARNINGS) \
	$(CPPFLAGS) $(CFLAGS)
LINK    = $(CC) $(OURS) $(CFLAGS) $(OURS_LINK) $(LDFLAGS)

# Many objects as one, of machine code.  A sanitizer's own code is linked in later.
JOIN    = $(CC) $(filter-out -fsanitize%,$(CFLAGS)) -r -nostdlib \
	$(if $(findstring -flto,$(CFLAGS)),-flinker-output=nolto-rel)
OBJCOPY ?= objcopy

all: $(OUT)/rung $(OUT)/rung-import ## build ./rung, ./rung-import and librung.a

$(OUT)/rung: $(PROGRAM_OBJECTS) $(OUT)/librung.a
	@mkdir -p $(@D)
	$(call say,link)$(LINK) -o $@ $^ $(LIBS)

$(OUT)/rung-import: $(IMPORT_OBJECTS) $(B)/modules.a
	@mkdir -p $(@D)
	$(call say,link)$(LINK) -o $@ $^ $(LIBS)

# What internal.h offers, for those who may use that.
$(B)/modules.a: $(LIBRARY_OBJECTS)
	@rm -f $@
	$(call say,archive)$(AR) rcs $@ $^

# The names of runner.h and no others: a program may well have a str_find of its own.
# (Where there is no objcopy, as on macOS, all stay.)
$(OUT)/librung.a: $(LIBRARY_OBJECTS)
	@mkdir -p $(@D) && rm -f $@
	$(call say,archive)$(JOIN) -o $(B)/librung.o $^ && \
		if command -v $(OBJCOPY) >/dev/null; then \
			$(OBJCOPY) --wildcard --keep-global-symbol='rung_*' $(B)/librung.o; \
		fi && $(AR) rcs $@ $(B)/librung.o

$(B)/%.o: %.c $(B)/command
	$(call say,compile)$(COMPILE) -MMD -MP -c -o $@ $<

# A unit test may use everything but main.c.
$(B)/tests/%: tests/unit/%.c $(B)/command $(filter-out $(B)/main.o,$(PROGRAM_OBJECTS)) $(B)/modules.a
	@mkdir -p $(@D)
	$(call say,compile)$(COMPILE) $(OURS_LINK) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< \
		$(filter %.o %.a,$^) $(LIBS) -lcmocka

# Its own allocator, which fails, in front of these; for our calls, not the libraries'.
FAULTS = malloc calloc realloc initPQExpBuffer appendPQExpBufferStr \
	appendBinaryPQExpBuffer PQconndefaults EVP_MD_CTX_new
$(B)/tests/test_fault: OURS_LINK += $(addprefix -Wl$(,)--wrap=,$(FAULTS))

# Changes when the command does, so that other flags or another CC compile anew.  All
# that is built waits for it, and it, in `make -j8 clean all`, for the other goal.
$(B)/command: FORCE | $(filter clean,$(MAKECMDGOALS))
	@mkdir -p $(B)
	@echo '$(COMPILE) $(LDFLAGS)' | cmp -s - $@ || echo '$(COMPILE) $(LDFLAGS)' >$@

-include $(wildcard $(B)/*.d $(B)/tests/*.d)

# ---- tests ---------------------------------------------------------------------------

check: ## run the whole suite: unit and command line tests, lint, sanitizers
	tests/run

check-unit: ## run the unit tests (no server needed)
	tests/run unit

check-cli: ## run the command line tests against a throwaway PostgreSQL
	tests/run cli

test-matrix: ## run the command line tests against PostgreSQL 14 to 18 (from npm)
	scripts/test-matrix

asan: ## run unit and command line tests under ASan and UBSan
	tests/run asan

unit-tests: $(UNIT_TESTS)

SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=all
asan-build:
	+$(MAKE) B=build/asan OUT=build/asan SANITIZE='$(SANITIZERS)' all unit-tests

# libFuzzer is clang's.  A target is a program of its own, tests/fuzz/fuzz_NAME.c.
FUZZERS = $(patsubst tests/fuzz/%.c,$(B)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzzers: $(FUZZERS)
fuzz-build:
	+$(MAKE) CC=clang B=build/fuzz OUT=build/fuzz \
		SANITIZE='-fsanitize=fuzzer-no-link $(SANITIZERS)' fuzzers
fuzz: ## run each fuzz target for FUZZ_SECONDS (1800)
	tests/fuzz/run

$(B)/tests/fuzz_%: tests/fuzz/fuzz_%.c $(B)/command $(B)/modules.a
	@mkdir -p $(@D)
	$(call say,compile)$(COMPILE) -fsanitize=fuzzer $(OURS_LINK) $(LDFLAGS) -MMD -MP -MF $@.d \
		-o $@ $< $(B)/modules.a $(LIBS)

# What PostgreSQL's own code makes of SQL, to compare with what split.c makes of it.
PG_CONFIG ?= pg_config
ORACLES = $(patsubst tests/%.c,$(B)/tests/%.o,$(wildcard tests/oracle/*.c))
$(B)/tests/oracle/%.o: tests/oracle/%.c tests/oracle/oracle.h internal.h $(B)/command
	@mkdir -p $(@D)
	$(call say,compile)$(COMPILE) $(if $(filter %/scanner.o,$@),-isystem $(shell $(PG_CONFIG) \
		--includedir-server)) -c -o $@ $<
$(B)/tests/oracle/oracle: $(ORACLES) $(B)/modules.a
	$(call say,link)$(LINK) -Wl,--exclude-libs,ALL -o $@ $^ \
		$(addprefix -L,$(shell $(PG_CONFIG) --pkglibdir --libdir)) \
		-lpgfeutils -lpgcommon -lpgport $(LIBS) -lpg_query
oracle: $(B)/tests/oracle/oracle
check-oracle: oracle ## compare the splitter with PostgreSQL, 10,000 files
	tests/oracle/run 10000

# With the tools themselves; tests/cli/adopt.bats plays them by hand.
NPM_TOOLS = dbmate@2.36.0 graphile-migrate@1.4.1 node-pg-migrate@9.0.0 pg@8.23.1 \
	postgres-migrations@5.3.0
check-import: ## take over projects of tools that npm has (installs them in build/tools)
	npm install --silent --no-audit --no-fund --prefix build/tools $(NPM_TOOLS)
	tests/run tests/tools/npm.bats

bench: all $(B)/tests/bench_split $(B)/tests/bench_link $(B)/tests/bench_floor ## measure against psql and other runners; BENCH='--quick', '--write'
	tests/bench/bench $(BENCH)

bench-split: $(B)/tests/bench_split ## measure how fast SQL is split
	$<

$(B)/tests/bench_%: tests/bench/%.c $(B)/command $(B)/modules.a
	@mkdir -p $(@D)
	$(call say,compile)$(COMPILE) $(OURS_LINK) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(B)/modules.a $(LIBS)

coverage: ## run the tests and say how many lines of each file they reach
	+rm -f build/coverage/*.gcda && $(MAKE) B=build/coverage OUT=build/coverage \
		CFLAGS='$(CFLAGS) -O0 --coverage' all unit-tests
	-B=build/coverage RUNG=$(CURDIR)/build/coverage/rung tests/run unit cli
	@cd build/coverage && gcov -n $(notdir $(LIBRARY_OBJECTS) $(PROGRAM_OBJECTS)) 2>/dev/null | \
		awk -F "[':]" '/^File/ { f = $$2 } /^Lines/ && f !~ /^\// { print $$2, f; f = "/" }' | \
		sed 's/executed/of/' | sort -u

# ---- taste ---------------------------------------------------------------------------

lint: lint-tidy lint-cppcheck lint-shell format-check ## all static checks

lint-tidy: compile_commands.json
	printf '%s\n' $(SOURCES) | xargs -P 2 -n 2 clang-tidy --quiet -p .

lint-cppcheck:
	cppcheck --std=c11 --quiet --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability \
		-D_POSIX_C_SOURCE=200809L -I. $(SOURCES)

lint-shell:
	shellcheck -x $(SCRIPTS)
	@# Variables are shared with helpers.bash; messages quote `commands`; tests are subshells.
	shellcheck -x -e SC1003,SC2016,SC2030,SC2031,SC2034,SC2154 tests/cli/*.bats

format: ## lay out the C files as .clang-format says
	clang-format -i $(SOURCES) $(HEADERS) $(FOREIGN)

format-check:
	clang-format --dry-run -Werror $(SOURCES) $(HEADERS) $(FOREIGN)

compile_commands.json: Makefile $(SOURCES) ## for clang-tidy, clangd and editors
	@comma='['; for file in $(SOURCES); do \
		printf '%s\n{ "directory": "%s", "file": "%s",\n  "command": "%s -c %s" }' \
			"$$comma" '$(CURDIR)' "$$file" '$(COMPILE)' "$$file"; comma=,; \
	done >$@; printf '\n]\n' >>$@

# ---- crashes -------------------------------------------------------------------------

crash: all $(B)/tests/proxy ## strike at every message of a run (long); CRASH='--every 23'
	RUNG=$(abspath $(OUT)/rung) PROXY=$(abspath $(B)/tests/proxy) tests/fault/crash $(CRASH)

$(B)/tests/proxy: tests/fault/proxy.c tests/lib/sockets.h $(B)/command
	@mkdir -p $(@D)
	$(call say,compile)$(COMPILE) $(OURS_LINK) $(LDFLAGS) -o $@ $<

# ---- installing ----------------------------------------------------------------------

PAGES = rung.1 rung-import.1
# Where each shell looks for them, of a program.
completions_of = $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions/$(1) \
	zsh/site-functions/_$(1) fish/vendor_completions.d/$(1).fish)
COMPLETIONS = $(call completions_of,rung) $(call completions_of,rung-import)
install: all ## copy programs, library, header, manual pages, completions below DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig \
		$(DESTDIR)$(PREFIX)/include/rung $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(OUT)/rung $(OUT)/rung-import $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(OUT)/librung.a $(DESTDIR)$(PREFIX)/lib/librung.a
	install -m 644 runner.h $(DESTDIR)$(PREFIX)/include/rung/runner.h
	printf '%s\n' 'prefix=$(PREFIX)' '' 'Name: rung' \
		'Description: Plain-SQL migrations for PostgreSQL' 'Version: $(VERSION)' \
		'Requires: libpq libcrypto' 'Cflags: -I$${prefix}/include' \
		'Libs: -L$${prefix}/lib -lrung' >$(DESTDIR)$(PREFIX)/lib/pkgconfig/rung.pc
	for page in $(PAGES); do sed 's/^\.Os rung$$/& $(VERSION)/' docs/$$page \
		>$(DESTDIR)$(PREFIX)/share/man/man1/$$page || exit 1; done
	install -d $(sort $(dir $(COMPLETIONS)))
	set -e; set -- $(COMPLETIONS); for program in rung rung-import; do \
		for shell in bash zsh fish; do \
			scripts/completions $$shell $(OUT)/$$program >"$$1"; shift; done; done

uninstall: ## delete what install copied
	rm -f $(DESTDIR)$(PREFIX)/bin/rung $(DESTDIR)$(PREFIX)/bin/rung-import \
		$(DESTDIR)$(PREFIX)/lib/librung.a \
		$(DESTDIR)$(PREFIX)/lib/pkgconfig/rung.pc \
		$(addprefix $(DESTDIR)$(PREFIX)/share/man/man1/,$(PAGES)) $(COMPLETIONS)
	rm -rf $(DESTDIR)$(PREFIX)/include/rung

# ---- handing out ---------------------------------------------------------------------

# The same commit gives the same bytes, whoever makes it, where and when.
DIST  = rung-$(VERSION)
EPOCH = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct))
dist: ## make build/rung-VERSION.tar.gz of what git knows (GNU tar)
	@mkdir -p build
	git ls-files -z | LC_ALL=C sort -z | tar --format=ustar \
		--transform='s,^,$(DIST)/,' --mtime=@$(EPOCH) --owner=0 --group=0 --numeric-owner \
		--mode='u=rwX,go=rX' -cf build/$(DIST).tar --no-recursion --null --files-from=-
	gzip -9nf build/$(DIST).tar

distcheck: dist ## unpack that, build, test, install, run, uninstall and clean it
	rm -rf build/distcheck && mkdir -p build/distcheck
	tar -xzf build/$(DIST).tar.gz -C build/distcheck
	cd build/distcheck && find $(DIST) -type f | sort >before
	+$(MAKE) -C build/distcheck/$(DIST) all
	+unset RUNG B; $(MAKE) -C build/distcheck/$(DIST) check-unit
	+$(MAKE) -C build/distcheck/$(DIST) install DESTDIR=$(CURDIR)/build/distcheck/root
	test "`build/distcheck/root$(PREFIX)/bin/rung --version`" = 'rung $(VERSION)'
	+$(MAKE) -C build/distcheck/$(DIST) uninstall DESTDIR=$(CURDIR)/build/distcheck/root
	+$(MAKE) -C build/distcheck/$(DIST) clean
	cd build/distcheck && test -z "`find root -type f`" && find $(DIST) -type f | sort | \
		diff before -
	rm -rf build/distcheck

deb: ## build a Debian package in build/
	scripts/package-deb

check-deb: ## follow the tutorial in a bare Debian that has the package only (root, network)
	scripts/check-deb

clean: ## delete everything that was built
	rm -rf build rung rung-import librung.a compile_commands.json

help: ## this list
	@sed -n 's/^\([a-z_.-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
		awk -F '|' '{ printf "make %-22s %s\n", $$1, $$2 }'

FORCE:
.DELETE_ON_ERROR:
.PHONY: all check check-import crash check-unit check-cli test-matrix asan unit-tests asan-build fuzz fuzzers fuzz-build bench bench-split oracle check-oracle coverage lint lint-tidy \
	lint-cppcheck lint-shell format format-check install uninstall dist distcheck deb check-deb clean help FORCE
