#!/usr/bin/env bats
# `rung sum`: SHA256SUMS, as sha256sum reads it.

load ../lib/helpers

@test "sum lists every up and down file, and sha256sum -c agrees" {
    migration 001_a <<<'SELECT 1;'
    migration 001_a.down <<<'SELECT 1;'
    migration '002_é x' <<<'SELECT 2;'
    echo junk >migrations/notes.txt
    run_rung sum
    assert_status 0
    assert_equal "$(cut -c67- migrations/SHA256SUMS)" $'001_a.down.sql\n001_a.sql\n002_é x.sql'
    (cd migrations && sha256sum -c --quiet --strict SHA256SUMS)
    run_rung verify --offline
    assert_status 0

    echo '-- edited' >>migrations/001_a.down.sql
    run_rung verify --offline
    assert_status 3
    run_rung sum
    assert_status 0
    run_rung verify --offline
    assert_status 0
}

@test "a bad SHA256SUMS is replaced, and nothing is left beside it" {
    migration 001_a <<<'SELECT 1;'
    printf 'x  ../../etc/passwd\n' >migrations/SHA256SUMS
    run_rung verify --offline
    assert_status 3
    run_rung sum
    assert_status 0
    assert_equal "$(ls -A migrations)" $'001_a.sql\nSHA256SUMS'
}

@test "without a directory, sum says so" {
    rmdir migrations
    run_rung sum
    assert_status 2
    assert_err_has 'no such directory: "migrations"'
}
