#!/usr/bin/env bats
# The Debian package, in short: what is in it works.  `make check-deb` installs it in a bare
# system and follows the tutorial there.

load ../lib/helpers

setup() {
    [ -z "${SANITIZED-}" ] || skip 'asan: the package is built its own way'
    rung_setup
}

teardown() {
    [ -n "${SANITIZED-}" ] || rung_teardown
}

@test "the package holds the programs, their pages and completions, and depends on libpq and OpenSSL" {
    local deb
    # In a copy: others run ./rung meanwhile.
    mkdir copy
    tar -C "$repo" --exclude=./build --exclude=./.git -cf - . | tar -C copy -xf -
    run env -u MAKEFLAGS -u MAKELEVEL SOURCE_DATE_EPOCH=1700000000 copy/scripts/package-deb "$T" 3>&- 4>&-
    [ "$status" -eq 0 ] || fail_with "$output"
    deb=${output##*$'\n'}
    dpkg-deb -x "$deb" root
    assert_equal "$(root/usr/bin/rung --version)" "$("$RUNG" --version)"
    root/usr/bin/rung-import --help >/dev/null
    for file in bin/rung bin/rung-import share/man/man1/rung.1.gz share/man/man1/rung-import.1.gz \
        share/bash-completion/completions/rung share/doc/rung/copyright share/doc/rung/changelog.gz; do
        [ -s "root/usr/$file" ] || fail_with "no $file"
    done
    assert_equal "$(dpkg-deb -f "$deb" Version)" "$("$RUNG" --version | cut -d ' ' -f 2)"
    [[ $(dpkg-deb -f "$deb" Depends) == *libc6*libpq5*libssl3* ]]
    assert_equal "$(dpkg-deb -c "$deb" | awk '$2 != "root/root"')" ''
    # It applies files.
    migration 001_t <<<'CREATE TABLE t ();'
    program=root/usr/bin/rung run_rung up
    assert_status 0
    assert_applied 1
}
