#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung verify --base REV`: the files against a git revision.  The repository is $T; no
# database is named, so nothing connects.

load ../lib/helpers

setup() {
    rung_setup
    unset "${!PG@}" DATABASE_URL "${!GIT_@}"
    export GIT_CONFIG_NOSYSTEM=1
    git_ init -q .
    migration 001_one <<<$'CREATE TABLE one (n int);\nINSERT INTO one VALUES (1);'
    migration 001_one.down <<<'DROP TABLE one;'
    migration 002_two <<<'CREATE TABLE two (n int);'
    migration 003_three <<<'CREATE TABLE three (n int);'
    commit base
    git_ branch upstream
}

teardown() {
    export PGHOST=$suite_host PGPORT=5432 PGUSER=postgres PG_BINDIR=$suite_bindir
    rung_teardown
}

suite_host=$PGHOST
suite_bindir=$PG_BINDIR

git_() {
    git -c user.name=T -c user.email=t@localhost -c init.defaultBranch=main \
        -c core.autocrlf=false "$@" 3>&- 4>&-
}

commit() {
    git_ add -A migrations && git_ commit -q -m "$1"
}

# finds LINE...: exit status 3, and these lines among others.
finds() {
    run_rung verify --base "${base:-upstream}"
    assert_status 3
    assert_err ''
    assert_out_has "$@"
}

agrees() {
    run_rung verify --base "${base:-upstream}"
    assert_status 0
    assert_err ''
    assert_out_lacks error warning
}

@test "what agrees, and what is new above it" {
    agrees
    assert_out "verified files only (no connection was asked for) and git's upstream: 3 migrations, no problems"
    migration 004_four <<<'SELECT 4;'
    agrees
    commit four
    agrees
}

@test "an edit is named with its first line and the way out" {
    printf 'CREATE TABLE one (n int);\nINSERT INTO one VALUES (2);\n' >migrations/001_one.sql
    finds 'migrations/001_one.sql:2: error: edited: it is not what upstream has' \
        "hint: Take the edit back with \`git checkout upstream -- 'migrations/001_one.sql'\`, and put the change into a new file." \
        '1 problem'
    commit 'an edit, committed'
    finds 'migrations/001_one.sql:2: error: edited'
    # The way out works.
    git_ checkout -q upstream -- 'migrations/001_one.sql'
    agrees
    # Where the end is gone, there is no line behind the last.
    : >migrations/001_one.sql
    finds 'migrations/001_one.sql:1: error: edited'
}

@test "a file that was deleted or renamed is named" {
    rm migrations/002_two.sql
    mv migrations/003_three.sql migrations/004_drei.sql
    finds 'migrations/002_two.sql: error: deleted: upstream has it' \
        'migrations/004_drei.sql: error: renamed: upstream has it as 003_three.sql' \
        'hint: Give it that name back.' '2 problems'
}

@test "a new file below the newest, or with its number, is named" {
    migration 000_late <<<'SELECT 0;'
    migration 03_same <<<'SELECT 3;'
    finds 'migrations/000_late.sql: error: new, but numbered below the newest of upstream, 003_three.sql' \
        'hint: Give it, and its down file, a number above 3: where upstream is merged it may be applied already.' \
        'migrations/03_same.sql: error: new, but numbered as the newest of upstream, 003_three.sql'
}

@test "a merge that is good on each branch and bad together is found" {
    git_ checkout -q -b left
    migration 004_left <<<'SELECT 1;'
    commit left
    agrees
    git_ checkout -q -b right upstream
    migration 004_right <<<'SELECT 2;'
    commit right
    agrees
    git_ merge -q --no-edit left
    base=left finds 'migrations/004_right.sql: error: new, but numbered as the newest of left, 004_left.sql'
}

@test "what the revision has got since the branch left it is not deleted" {
    git_ checkout -q -b feature
    migration 005_mine <<<'SELECT 1;'
    commit mine
    git_ checkout -q upstream
    migration 004_theirs <<<'SELECT 2;'
    commit theirs
    git_ checkout -q feature
    agrees
    # A number that both took is found before the merge.
    git_ mv migrations/005_mine.sql migrations/004_mine.sql
    commit 'the same number'
    finds 'migrations/004_mine.sql: error: new, but numbered as the newest of upstream, 004_theirs.sql'
    assert_out_lacks deleted
    # What was here before is deleted as ever, and after the merge theirs is, too.
    rm migrations/002_two.sql migrations/004_mine.sql
    finds 'migrations/002_two.sql: error: deleted: upstream has it' '1 problem'
    git_ checkout -q -- migrations && git_ merge -q --no-edit upstream
    rm migrations/004_theirs.sql
    finds 'migrations/004_theirs.sql: error: deleted: upstream has it'
}

@test "where no history tells what came since, what is not here is deleted" {
    git_ checkout -q --orphan other
    rm migrations/003_three.sql
    commit other
    finds 'migrations/003_three.sql: error: deleted: upstream has it' '1 problem'
}

@test "a directory that the revision does not have is a warning" {
    mv migrations moved
    run_rung verify --base upstream -m moved
    assert_status 0
    assert_out "verified files only (no connection was asked for) and git's upstream: 3 migrations, no problems"
    assert_err "moved: warning: upstream has no migration in this directory: there is nothing to compare with
hint: If it was moved, compare with the revision that moved it."
    run_rung verify --base upstream -m moved --format github
    assert_status 0
    assert_out_has '::warning file=moved,title=rung::upstream has no migration'
}

@test "down files may change, drafts may be filled, line endings are no edit" {
    printf -- '-- soon\n' >migrations/004_draft.sql
    commit draft
    git_ branch with_draft
    echo 'SELECT 4;' >>migrations/004_draft.sql
    echo 'DROP TABLE IF EXISTS one;' >migrations/001_one.down.sql
    sed -i 's/$/\r/' migrations/001_one.sql
    printf '\xEF\xBB\xBFCREATE TABLE two (n int);\n' >migrations/002_two.sql
    base=with_draft agrees
}

@test "a revision that is not there, or no revision at all, is exit 2" {
    local what
    for what in nosuch origin/main -x --help upstream:migrations; do
        run_rung verify "--base=$what"
        assert_status 2
        assert_out ''
        assert_err "rung: error: git has no revision \"$what\""$'\n''hint: A branch of the remote is called origin/NAME; `git fetch` gets it.'
    done
    run_rung verify --base $'a\tb'
    assert_status 2
    assert_err 'rung: error: --base takes a git revision, such as origin/main'
}

@test "in a shallow clone it says what is missing" {
    local old
    old=$(git_ rev-parse upstream)
    migration 004_four <<<'SELECT 4;'
    commit four
    git_ clone -q --depth 1 "file://$T" clone
    cd clone
    run_rung verify --base "$old"
    assert_status 2
    assert_err_has "rung: error: git has no revision \"$old\"" \
        'hint: This is a shallow clone: `git fetch --unshallow`'
    git_ fetch -q --unshallow
    base=$old agrees
}

@test "a directory outside a repository is an error that says so" {
    rm -rf .git
    GIT_CEILING_DIRECTORIES=${T%/*} run_rung verify --base upstream
    assert_status 2
    assert_err_has 'rung: error: migrations is not in a git repository that can be read' \
        'detail: not a git repository'
}

@test "somebody else's repository: the way out is git's own" {
    # As git's own tests do it: nobody need be root to own it.
    GIT_TEST_ASSUME_DIFFERENT_OWNER=1 run_rung verify --base upstream
    assert_status 2
    assert_out ''
    assert_lines "$err" 'rung: error: migrations is not in a git repository that can be read' \
        "detail: detected dubious ownership in repository at '$T'" \
        "hint: If its owner is trusted: \`git config --global --add safe.directory $T\`."
}

@test "nothing that the repository brings is run, and a hook's surroundings do not mislead" {
    printf '*.sql filter=evil diff=evil text eol=crlf\n' >.gitattributes
    git_ add .gitattributes && git_ commit -q -m attributes
    git_ branch -f upstream
    local key
    for key in filter.evil.clean filter.evil.smudge filter.evil.process diff.evil.command \
        diff.evil.textconv core.fsmonitor; do
        git config "$key" "touch $T/ran; cat"
    done
    mkdir -p hooks && git config core.hooksPath "$T/hooks"
    printf '#!/bin/sh\ntouch %s/ran\n' "$T" >hooks/post-index-change && chmod +x hooks/*
    printf 'CREATE TABLE two (m int);\n' >migrations/002_two.sql
    rm -f ran
    GIT_DIR=.git GIT_INDEX_FILE=.git/nosuch GIT_PREFIX=x/ finds 'migrations/002_two.sql:1: error: edited'
    [ ! -e ran ]
}

@test "SHA-256, a directory below, a name in UTF-8 and with spaces" {
    mkdir -p other/db/migrations && cd other
    git_ init -q --object-format=sha256 .
    cd db
    migration '001_ä b' <<<'SELECT 1;'
    commit one
    base=HEAD agrees
    echo 'SELECT 2;' >'migrations/001_ä b.sql'
    base=HEAD finds 'migrations/001_ä b.sql:1: error: edited: it is not what HEAD has'
}

@test "the findings are JSON objects and annotations, too" {
    echo 'SELECT 2;' >>migrations/002_two.sql
    run_rung verify --base upstream --format json
    assert_status 3
    assert_out_has '"type":"finding","level":"error","version":"2"' '"line":2,' \
        '"message":"edited: it is not what upstream has"' '"code":"drift"' '"base":"upstream"'
    run_rung verify --base upstream --format github
    assert_status 3
    assert_out_has '::error file=migrations/002_two.sql,line=2'
}

@test "with a database both are verified" {
    PGHOST=$suite_host PGPORT=5432 PGUSER=postgres PGDATABASE=postgres DATABASE_URL='' \
        run_rung verify --base upstream -t no_such_ledger
    assert_status 0
    assert_out_has "verified files and ledger and git's upstream: 0 applied, 3 pending, no problems"
}
