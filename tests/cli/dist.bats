#!/usr/bin/env bats
# What `make dist` hands out.
load ../lib/helpers

# A repository of our own: the suite also runs where rung's is not, and its files may
# be under work.
setup_file() {
    [ -z "${SANITIZED-}" ] || return 0
    local from=$BATS_TEST_DIRNAME/../.. to=$BATS_FILE_TMPDIR/clone
    mkdir "$to"
    (cd "$from" && tar -c --exclude='*.bats' ./*.c ./*.h Makefile docs scripts migrations tests LICENSE) | tar -x -C "$to"
    cd "$to" || return 1
    git init -q && git add . && git -c user.name=test -c user.email=test@localhost \
        commit -qm first --date='2001-02-03T04:05:06Z'
}

setup() {
    rung_setup
    [ -z "${SANITIZED-}" ] || skip 'asan: nothing of it is built with it'
    version=$(sed -n 's/^#define RUNG_VERSION "\(.*\)"/\1/p' "$repo/runner.h")
    archive=build/rung-$version.tar.gz
    cd "$BATS_FILE_TMPDIR/clone" || return 1
}

@test "make dist makes the same bytes of the same commit: other umask, times, zone" {
    make -s dist 3>&- 4>&-
    cp "$archive" ../first.tar.gz
    rm -rf ../second && git clone -q . ../second && cd ../second
    chmod -R go-rwx . && find . -path ./.git -prune -o -type f -exec touch -d 1999-01-01 {} +
    echo ours >not-in-git
    (umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 make -s dist 3>&- 4>&-)
    cmp "$archive" ../first.tar.gz
    # gzip's flags (a name) and time: two runs may fall into one second.
    assert_equal "$(od -An -tx1 -j3 -N5 "$archive")" ' 00 00 00 00 00'
    assert_equal "$(tar -tzf "$archive" | LC_ALL=C sort)" "$(tar -tzf "$archive")"
    assert_equal "$(tar -tzf "$archive")" \
        "$(git ls-files | LC_ALL=C sort | sed "s,^,rung-$version/,")"
    assert_equal "$(tar --numeric-owner -tvzf "$archive" | awk '{ print $2 }' | sort -u)" 0/0
    SOURCE_DATE_EPOCH=86400 make -s dist 3>&- 4>&-
    assert_equal "$(TZ=UTC tar --full-time -tvzf "$archive" | awk '{ print $4, $5 }' | sort -u)" \
        '1970-01-02 00:00:00'
}

@test "what was unpacked builds, passes the unit tests, installs, runs, uninstalls and cleans: make distcheck" {
    make -s distcheck >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- 4>&- || fail_with "$(cat "$BATS_TEST_TMPDIR/log")"
    grep -qE '^ok +unit/split ' "$BATS_TEST_TMPDIR/log"
    # A file that is used and was forgotten is found.
    git rm -q --cached report.c
    if make -s distcheck >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- 4>&-; then
        fail_with 'distcheck is content without report.c'
    fi
    git add report.c
}
