#!/usr/bin/env bats
# `rung new`: the next file.  Names and numbers in detail: tests/unit/test_author.c.

load ../lib/helpers

@test "new prints the path of a draft that says what it is" {
    run_rung new 'Add users'
    assert_status 0
    assert_out migrations/001_add_users.sql
    assert_err ''
    assert_lines "$(cat migrations/001_add_users.sql)" '-- 001_add_users.sql' \
        "-- date: $(date -u +%F)" '-- description: Add users'

    run_rung up
    assert_status 0
    assert_untouched
}

@test "new --down makes the down file, too" {
    migration 0041_a <<<'SELECT 1;'
    run_rung new users --down
    assert_status 0
    assert_out migrations/0042_users.sql
    assert_equal "$(ls migrations)" $'0041_a.sql\n0042_users.down.sql\n0042_users.sql'
}

@test "several at once get different numbers" {
    local i
    for i in 1 2 3 4 5 6 7 8; do start_rung "$i" new "name $i"; done
    for i in 1 2 3 4 5 6 7 8; do
        wait_rung "$i"
        assert_status 0
    done
    for i in 1 2 3 4 5 6 7 8; do
        files=(migrations/*"${i}_name_"*.sql)
        assert_equal "${#files[@]}" 1
    done
    run_rung status
    assert_status 0
}

@test "without a directory, new says so" {
    rmdir migrations
    run_rung new users
    assert_status 2
    assert_out ''
    assert_err_has 'no such directory: "migrations"' 'mkdir'
}

@test "in a directory that cannot be written to, new says so" {
    skip_if_root
    chmod 555 migrations
    run_rung new users
    assert_status 1
    assert_out ''
    assert_err_has 'cannot create "migrations/001_users.sql": Permission denied'
}

@test "an editor's lock file does not matter" {
    ln -s nobody@nowhere.1 'migrations/.#005_a.sql'
    touch 'migrations/.005_a.sql.swp' 'migrations/004_a.sql~'
    run_rung new users
    assert_out migrations/001_users.sql
}

@test "new keeps SHA256SUMS where it is" {
    migration 001_a <<<'SELECT 1;'
    run_rung sum
    run_rung new users
    assert_status 0
    assert_err ''
    (cd migrations && sha256sum -c --quiet --strict SHA256SUMS)
    assert_equal "$(wc -l <migrations/SHA256SUMS)" 2

    echo 'SELECT 2;' >>migrations/001_a.sql
    run_rung new orders
    assert_status 0
    assert_out migrations/003_orders.sql
    assert_err_has 'SHA256SUMS is left as it is: 001_a.sql is not what SHA256SUMS says it is'
    assert_equal "$(wc -l <migrations/SHA256SUMS)" 2
}
