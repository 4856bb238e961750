#!/usr/bin/env bats
# `rung renumber`: what is late or collides gets the next free number.

load ../lib/helpers

applied() {
    migration 001_a <<<'CREATE TABLE a ();'
    migration 002_b <<<'CREATE TABLE b ();'
    migration 005_e <<<'CREATE TABLE e ();'
    run_rung up
    assert_status 0
}

@test "a late file moves with its down file, and then it is applied" {
    applied
    migration 003_late <<<'CREATE TABLE late ();'
    migration 003_late.down <<<'DROP TABLE late;'
    migration 006_f <<<'CREATE TABLE f ();'
    run_rung sum
    run_rung up
    assert_status 3
    run_rung renumber
    assert_status 0
    assert_equal "$(ls migrations)" \
        $'001_a.sql\n002_b.sql\n005_e.sql\n006_f.sql\n007_late.down.sql\n007_late.sql\nSHA256SUMS'
    (cd migrations && sha256sum -c --quiet --strict SHA256SUMS)
    run_rung up
    assert_status 0
    assert_applied 1 2 5 6 7
    run_rung verify
    assert_status 0
    run_rung renumber
    assert_status 0
    assert_applied 1 2 5 6 7
}

@test "what is applied keeps its number, also when it is the newer file" {
    applied
    migration 2_other.up <<<'CREATE TABLE other ();'
    touch -d '2001-01-01' migrations/2_other.up.sql
    run_rung renumber
    assert_status 0
    assert_equal "$(ls migrations)" $'001_a.sql\n002_b.sql\n005_e.sql\n006_other.up.sql'
}

@test "with nothing to settle, nothing happens" {
    applied
    migration 009_g <<<'SELECT 1;'
    echo '-- edited' >>migrations/001_a.sql
    run_rung renumber
    assert_status 0
    assert_equal "$(ls migrations)" $'001_a.sql\n002_b.sql\n005_e.sql\n009_g.sql'
}

@test "numbers in the ledger are taken, also without a file" {
    applied
    sql "INSERT INTO schema_migrations VALUES (12, '012_gone.sql', repeat('0', 64), now())"
    migration 003_late <<<'SELECT 1;'
    run_rung renumber
    assert_status 0
    assert_equal "$(ls migrations)" $'001_a.sql\n002_b.sql\n005_e.sql\n013_late.sql'
}

@test "a file that was recorded empty and filled later moves; what it held stays" {
    touch migrations/001_empty.sql
    printf -- '-- a draft\n' >migrations/002_draft.sql
    migration 003_c <<<'CREATE TABLE c ();'
    run_rung up
    assert_status 0
    echo 'CREATE TABLE filled ();' >migrations/001_empty.sql
    echo 'CREATE TABLE drafted ();' >>migrations/002_draft.sql
    run_rung up
    assert_status 3
    run_rung renumber
    assert_status 0
    assert_equal "$(cat migrations/001_empty.sql)" ''
    assert_equal "$(cat migrations/002_draft.sql)" '-- a draft'
    assert_equal "$(cat migrations/005_draft.sql)" $'-- a draft\nCREATE TABLE drafted ();'
    run_rung up
    assert_status 0
    assert_applied 1 2 3 4 5
}

@test "where nobody can tell what it held, nothing is renamed" {
    printf -- '-- a draft\n' >migrations/001_draft.sql
    migration 003_c <<<'CREATE TABLE c ();'
    run_rung up
    migration 002_late <<<'SELECT 1;'
    echo 'CREATE TABLE filled ();' >migrations/001_draft.sql
    run_rung renumber
    assert_status 3
    assert_err_has '001_draft.sql was recorded while it held no statement'
    assert_equal "$(ls migrations)" $'001_draft.sql\n002_late.sql\n003_c.sql'
}

@test "where nobody can tell which one is applied, nothing is renamed" {
    applied
    mv migrations/002_b.sql migrations/002_x.sql
    echo '-- edited' >>migrations/002_x.sql
    migration 002_y <<<'SELECT 1;'
    run_rung renumber
    assert_status 3
    assert_err_has 'which of 002_x.sql and 002_y.sql is applied? The ledger has 002_b.sql'
    assert_equal "$(ls migrations)" $'001_a.sql\n002_x.sql\n002_y.sql\n005_e.sql'
}

@test "offline, of two with one number the older file stays" {
    migration 001_a <<<'SELECT 1;'
    migration 001_b <<<'SELECT 2;'
    touch -d '2001-01-01' migrations/001_b.sql
    DATABASE_URL=postgresql://nosuch.invalid/x run_rung renumber --offline
    assert_status 0
    assert_equal "$(ls migrations)" $'001_b.sql\n002_a.sql'
}

@test "killed before it moved the down file, it goes on where it was" {
    applied
    migration 006_late <<<'CREATE TABLE late ();'
    migration 003_late.down <<<'DROP TABLE late;'
    migration 003_other.down <<<'DROP TABLE other;'
    run_rung renumber
    assert_status 0
    assert_out 'renamed 003_late.down.sql to 006_late.down.sql'
    assert_equal "$(ls migrations)" \
        $'001_a.sql\n002_b.sql\n003_other.down.sql\n005_e.sql\n006_late.down.sql\n006_late.sql'
    run_rung renumber
    assert_status 0
    assert_out ''
}

@test "a file whose down file cannot be moved keeps its number" {
    applied
    migration 003_late <<<'CREATE TABLE late ();'
    migration 003_late.down <<<'DROP TABLE late;'
    # the place of the down file is taken
    mkdir migrations/006_late.down.sql
    run_rung renumber
    assert_status 1
    assert_err 'rung: error: cannot rename "migrations/003_late.down.sql": File exists'
    assert_equal "$(ls migrations)" \
        $'001_a.sql\n002_b.sql\n003_late.down.sql\n003_late.sql\n005_e.sql\n006_late.down.sql'
}

@test "in a directory that cannot be written to, renumber says so" {
    skip_if_root
    migration 001_a <<<'SELECT 1;'
    migration 001_b <<<'SELECT 2;'
    chmod 555 migrations
    run_rung renumber
    assert_status 1
    assert_err_has 'cannot rename "migrations/001_b.sql": Permission denied'
}

# ---- --base --------------------------------------------------------------------------

git_() {
    git -c user.name=T -c user.email=t@localhost -c init.defaultBranch=main "$@" 3>&- 4>&-
}

commit() {
    git_ add -A migrations && git_ commit -q -m "$1"
}

# A branch with two files of ours, the second of which needs the first; main has taken
# the first one's number meanwhile.
two_branches() {
    export GIT_CONFIG_NOSYSTEM=1
    git_ init -q .
    migration 006_old <<<'SELECT 6;'
    commit old
    git_ checkout -q -b feature
    migration 007_mine <<<'CREATE TABLE mine ();'
    migration 007_mine.down <<<'DROP TABLE mine;'
    migration 008_mine_too <<<'ALTER TABLE mine ADD n int;'
    commit mine
    git_ checkout -q main
    migration 007_theirs <<<'SELECT 7;'
    commit theirs
    git_ checkout -q feature
}

renumbered='006_old.sql
007_theirs.sql
009_mine.down.sql
009_mine.sql
010_mine_too.sql'

@test "--base: the other branch's file stays, though the merge has just written it" {
    two_branches
    git_ merge -q --no-edit main
    touch -d '2001-01-01' migrations/*mine*
    run_rung renumber --offline --base main
    assert_status 0
    assert_lines "$out" 'renamed 007_mine.sql to 009_mine.sql' \
        'renamed 008_mine_too.sql to 010_mine_too.sql'
    assert_err ''
    assert_equal "$(ls migrations)" "$renumbered"
    run_rung verify --offline --base main
    assert_status 0
    run_rung renumber --offline --base main
    assert_status 0
    assert_out ''
}

@test "--base: before the merge, what the other branch has taken is known, too" {
    two_branches
    run_rung verify --offline --base main
    assert_status 3
    assert_out_has 'where main is merged it may be applied already. `rung renumber --base main` does.'
    run_rung renumber --offline --base main
    assert_status 0
    commit renumbered
    git_ merge -q --no-edit main
    assert_equal "$(ls migrations)" "$renumbered"
}

@test "--base: ours is applied already: undo it first" {
    two_branches
    run_rung up
    assert_applied 6 7 8
    git_ merge -q --no-edit main
    run_rung renumber --base main
    assert_status 3
    assert_out ''
    assert_lines "$err" \
        'rung: error: 007_mine.sql is applied here, and 007_theirs.sql keeps that number' \
        'hint: Undo it with `rung down`, renumber, and apply it again.'
    assert_equal "$(ls migrations)" "$(printf '%s\n' 006_old.sql 007_mine.down.sql 007_mine.sql \
        007_theirs.sql 008_mine_too.sql)"
}

@test "--base: what the other branch has applied here stays, and ours moves" {
    two_branches
    git_ checkout -q main
    run_rung up
    git_ checkout -q feature && git_ merge -q --no-edit main
    run_rung renumber --base main
    assert_status 0
    assert_equal "$(ls migrations)" "$renumbered"
    run_rung up
    assert_status 0
    assert_applied 6 7 9 10
}

@test "--base: a revision that is not there is exit 2, and nothing moves" {
    two_branches
    git_ merge -q --no-edit main
    run_rung renumber --offline --base nosuch
    assert_status 2
    assert_out ''
    assert_err_has 'rung: error: git has no revision "nosuch"'
    [ -e migrations/007_mine.sql ]
    run_rung renumber --offline --base main -m nosuch
    assert_status 2
    assert_err_has 'rung: error: no such directory: "nosuch"'
}

@test "renamed to another number, what the revision has got since is named" {
    two_branches
    git_ merge -q --no-edit --no-commit main
    mv migrations/007_theirs.sql migrations/009_theirs.sql
    run_rung verify --offline --base main
    assert_status 3
    assert_out_has 'migrations/009_theirs.sql: error: renamed: main has it as 007_theirs.sql'
}
