#!/usr/bin/env bats
# The C library as somebody else's program sees it: installed, with pkg-config.
load ../lib/helpers

compiler=${CC:-cc}

setup_file() {
    local make=(make -C "$BATS_TEST_DIRNAME/../.." -s)
    [ -z "${SANITIZED-}" ] || return 0
    "${make[@]}" install PREFIX="$BATS_FILE_TMPDIR/prefix" 3>&- 4>&-
}

# compile NAME: build tests/examples/NAME.c against what was installed.
compile() {
    # shellcheck disable=SC2046 # flags are words
    "$compiler" -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$T/$1" \
        "$repo/tests/examples/$1.c" $(flags) 3>&- 4>&-
}

# What pkg-config says of the library that was installed.
flags() {
    PKG_CONFIG_PATH=$BATS_FILE_TMPDIR/prefix/lib/pkgconfig pkg-config --cflags --libs rung
}

skip_if_sanitized() {
    [ -z "${SANITIZED-}" ] || skip 'asan: the installed library is not built with it'
}

@test "the examples of the C library are at most 60 lines each" {
    local name
    for name in apply progress; do
        [ "$(wc -l <"$repo/tests/examples/$name.c")" -le 60 ]
    done
}

@test "a program links with rung.pc and applies a directory at its start" {
    skip_if_sanitized
    compile apply
    migration 001_one <<<'CREATE TABLE one (n int);'
    migration 002_two <<<'CREATE TABLE two (n int);'

    program=$T/apply
    run_rung migrations
    assert_status 0
    assert_out '2 applied, now at version 2'
    run_rung migrations
    assert_out '0 applied, now at version 2'
    assert_applied 1 2

    migration 003_bad <<<'SELECT nosuch;'
    run_rung migrations
    assert_status 1
    assert_err 'migrations/003_bad.sql:1: column "nosuch" does not exist'
    assert_applied 1 2
}

@test "a program shows what happens as events" {
    skip_if_sanitized
    compile progress
    migration 001_one <<'SQL'
DO $$ BEGIN RAISE NOTICE 'hello'; END $$;
SQL
    program=$T/progress
    run_rung migrations
    assert_status 0
    assert_out "$(printf '%s\n' '001_one.sql begins' '  NOTICE: hello' \
        '001_one.sql is applied')"
}

@test "the library takes no name that a program may have for something else" {
    skip_if_sanitized
    assert_equal "$(nm --defined-only "$BATS_FILE_TMPDIR/prefix/lib/librung.a" |
        awk '$2 ~ /[A-Z]/ && $3 !~ /^rung_/ { print $3 }')" ''
    cat >names.c <<'C'
#include <rung/runner.h>

const char *str_find = "mine", *pg_query = "mine", *clock_ms = "mine";

int main(void)
{
    return rung_same_sql("a -- one", "a") && str_find[0] + pg_query[0] == 2 * *clock_ms
               ? 0
               : 1;
}
C
    # shellcheck disable=SC2046 # flags are words
    "$compiler" -std=c11 -o names names.c $(flags) 3>&- 4>&-
    ./names
}

@test "a C++ program includes the header, links and begins with RUNG_OPTIONS" {
    skip_if_sanitized
    cat >plus.cc <<'CC'
#include <rung/runner.h>
#include <cstdio>

int main()
{
    rung_options options = RUNG_OPTIONS;
    rung_result result;
    rung_error err;

    if (!rung_up(&options, RUNG_NO_VERSION, &result, &err)) {
        std::fprintf(stderr, "%s\n", err.message);
        return err.code;
    }
    std::printf("%zu applied to %s, wake_fd %d\n", result.done, options.table,
        options.wake_fd);
    return 0;
}
CC
    # shellcheck disable=SC2046 # flags are words
    c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -o plus plus.cc $(flags) 3>&- 4>&-
    migration 001_one <<<'CREATE TABLE one (n int);'
    program=$T/plus
    run_rung
    assert_status 0
    assert_err ''
    assert_out '1 applied to schema_migrations, wake_fd -1'
    assert_applied 1
}

@test "what a caller gets wrong is an error and never worse" {
    skip_if_sanitized
    compile misuse
    migration 001_one <<<'CREATE TABLE one (n int);'
    migration 001_one.down <<<'DROP TABLE one;'
    migration 002_two <<<'CREATE TABLE two (n int);'
    migration 002_two.down <<<'SELECT 2; -- and the table stays'
    program=$T/misuse
    run_rung migrations
    assert_status 0
    assert_err ''
    assert_out 'up: ok
redo of none: 2 0 migrations cannot be redone
0 done
redo that stops between: 1 relation "two" already exists
1 done, now at 1
redo of too many: 2 18446744073709551615 migrations cannot be undone: 1 is applied
repair for no reason: 2 no reason was given
no directory
up: 2 no directory was given
down: 2 no directory was given
redo: 2 no directory was given
stamp: 2 no directory was given
repair: 2 no directory was given
status: 2 no directory was given
plan: 2 no directory was given
verify: 2 no directory was given
history: ok
show: 2 no directory was given
source: 2 no directory was given
new: 2 no directory was given
renumber: 2 no directory was given
sum: 2 no directory was given
lint: 2 no directory was given
no table
up: 2 no table was given
down: 2 no table was given
redo: 2 no table was given
stamp: 2 no table was given
repair: 2 no table was given
status: 2 no table was given
plan: 2 no table was given
verify: 2 no table was given
history: 2 no table was given
show: 2 no table was given
source: 2 no table was given
new: ok
renumber: 2 no table was given
sum: ok
lint: ok'
    assert_applied 1
    assert_sql "SELECT to_regclass('one') IS NOT NULL" t
}

@test "uninstall deletes what install copied" {
    skip_if_sanitized
    make -C "$repo" -s install DESTDIR="$T/root" PREFIX=/usr 3>&- 4>&-
    [ -x "$T/root/usr/bin/rung" ]
    [ -f "$T/root/usr/include/rung/runner.h" ]
    [ -f "$T/root/usr/share/man/man1/rung.1" ]
    [ -f "$T/root/usr/share/man/man1/rung-import.1" ]
    [ -s "$T/root/usr/share/bash-completion/completions/rung" ]
    [ -s "$T/root/usr/share/bash-completion/completions/rung-import" ]
    [ -s "$T/root/usr/share/zsh/site-functions/_rung" ]
    [ -s "$T/root/usr/share/fish/vendor_completions.d/rung.fish" ]
    make -C "$repo" -s uninstall DESTDIR="$T/root" PREFIX=/usr 3>&- 4>&-
    assert_equal "$(find "$T/root" -type f)" ''
}

@test "several threads migrate several databases at once, and ThreadSanitizer is content" {
    skip_if_sanitized
    local urls=() n
    make -C "$repo" -s B="$BATS_FILE_TMPDIR/tsan" OUT="$BATS_FILE_TMPDIR/tsan" \
        SANITIZE=-fsanitize=thread "$BATS_FILE_TMPDIR/tsan/librung.a" 3>&- 4>&-
    mkdir -p include && ln -s "$repo" include/rung
    # shellcheck disable=SC2046 # flags are words
    "$compiler" -std=c11 -D_POSIX_C_SOURCE=200809L -g -fsanitize=thread -Iinclude \
        -o threads "$repo/tests/examples/threads.c" "$BATS_FILE_TMPDIR/tsan/librung.a" \
        $(pkg-config --libs libpq libcrypto) -lpthread
    for n in 1 2 3 4; do
        create_database "${PGDATABASE}_$n"
        urls+=("postgresql:///${PGDATABASE}_$n?host=$PGHOST&port=$PGPORT&user=$PGUSER")
    done
    export TSAN_OPTIONS="suppressions=$repo/tests/suppressions/tsan exitcode=66"
    program=$T/threads
    run_rung "$repo/migrations" "${urls[@]}"
    assert_status 0
    assert_out "$(printf '%s\n' '6 applied' '6 applied' '6 applied' '6 applied')"
    assert_err ''
}
