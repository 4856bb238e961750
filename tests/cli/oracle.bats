#!/usr/bin/env bats
# A short form of `make check-oracle`: tests/oracle/README.md.
load ../lib/helpers

setup_file() {
    [ -z "${SANITIZED-}" ] || return 0
    make -s -C "$BATS_TEST_DIRNAME/../.." oracle 3>&- 4>&-
}

setup() {
    [ -z "${SANITIZED-}" ] || skip 'asan: the oracles do not look at the program'
    rung_setup
}

teardown() {
    [ -n "${SANITIZED-}" ] || rung_teardown
}

# agree PART: zero differences, or what the oracle printed.
agree() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    run tests/oracle/run 300 "$1" 3>&- 4>&-
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
}

@test "300 generated files: the grammar, psql's scanner and the server cut where we do" {
    agree generated
    [[ $output == *'server: 300 files'*'different 0'* ]]
}

@test "a pg_dump of every kind of object: the same" {
    agree dump
}

@test "the corpus: the same" {
    need_corpus .
    agree corpus
}
