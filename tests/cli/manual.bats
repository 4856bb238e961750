#!/usr/bin/env bats
# The manual pages, beside what the programs say about themselves.
load ../lib/helpers

# What a page has entries for, as --help writes it: `up [VERSION]`, `-d, --database CONNINFO`.
page_entries() {
    sed -n -e '/^\.It Cm /b entry' -e '/^\.It Fl /b entry' -e d -e ': entry' \
        -e 's/^\.It //; s/^Cm //; s/ Op Ar \([A-Z]*\) \.\.\.$/ [\1].../; s/ Op Ar \([A-Z]*\)$/ [\1]/' \
        -e 's/Fl \(.\) , /-\1, /; s/Fl -/--/; s/ Ar / /; p' "$repo/docs/$1"
}

# The same of a help text on stdin.
help_entries() {
    sed -n 's/^  \( *-.*\|[a-z].*\)/\1/p' | sed 's/^ *//; s/  .*//; s/\( [A-Z]*\|--[a-z-]*\) [a-z].*/\1/'
}

# same_entries PAGE PROGRAM: `<` is missing in the page, `>` is in it and nowhere else.
same_entries() {
    local difference
    difference=$(diff <("$2" --help | sed '/^TOOL is/,/^$/d' | help_entries) <(page_entries "$1") |
        sed -n 's/^</not in the page:/p; s/^>/only in the page, or elsewhere:/p')
    assert_equal "$difference" ''
}

@test "the manual pages are clean mdoc" {
    local page
    for page in rung rung-import; do
        run mandoc -Tlint -Wwarning "$repo/docs/$page.1"
        assert_equal "$status $output" '0 '
    done
}

@test "rung(1) has the commands and options of rung --help, in that order, and no others" {
    [ "$(page_entries rung.1 | wc -l)" -gt 50 ]
    same_entries rung.1 "$RUNG"
}

@test "rung-import(1) has the options and tools of rung-import --help, and no others" {
    local tools
    [ "$(page_entries rung-import.1 | wc -l)" -gt 10 ]
    same_entries rung-import.1 "${RUNG%/*}/rung-import"
    tools=$("${RUNG%/*}/rung-import" --help | sed -n '/^TOOL is/,/^$/p' | sed '1d' | xargs)
    assert_equal "$(sed -n '/^is one of$/,/^\.Ss/p' "$repo/docs/rung-import.1" |
        sed -n 's/^\.Li //; s/No and Li//; s/[.,]//g; /^[a-z]/p' | sed 1d | xargs)" "$tools"
}

@test "rung(1) also has the other names of the tables, and calls nothing by a name that is in none" {
    local options commands used name
    mapfile -t options < <(sed -n "s/^    { \"\([a-z-]*\)\", \(0\|'.'\),.*/\1/p" "$repo/options.c")
    mapfile -t commands < <(sed -n 's/^    { "\([a-z]*\)", FOR_.*/\1/p' "$repo/commands.c")
    mapfile -t used < <(grep -o 'Fl -[a-z-]*' "$repo/docs/rung.1" | sed 's/Fl -//' | sort -u)
    [[ " ${options[*]} " == *" migrations-dir "* && " ${commands[*]} " == *" baseline "* ]]
    for name in "${options[@]}"; do
        grep -q "Fl -$name\b" "$repo/docs/rung.1" || fail_with "the page lacks --$name"
    done
    for name in "${commands[@]}"; do
        grep -q "^\.\(It \)\?Cm $name\b" "$repo/docs/rung.1" || fail_with "the page lacks $name"
    done
    for name in "${used[@]}"; do
        [[ " ${options[*]} " == *" $name "* ]] || fail_with "there is no --$name"
    done
}

@test "rung(1) names every variable of the option table and every exit status of --help" {
    local variables statuses word
    mapfile -t variables < <(grep -o '"[A-Z]*_[A-Z_]*", \(SECRET\|TEXT\|FLAG\)' "$repo/options.c" |
        cut -d'"' -f2)
    mapfile -t statuses < <("$RUNG" --help | sed -n '/^Exit status/,$p' | grep -Eo '\b(128\+n|[0-9]+)\b')
    [ "${#variables[@]}" -ge 4 ] && [ "${#statuses[@]}" -ge 8 ]
    for word in "${variables[@]}"; do
        grep -q "^\.It Ev $word$" "$repo/docs/rung.1" || fail_with "the page lacks $word"
    done
    for word in "${statuses[@]}"; do
        grep -qxF ".It $word" "$repo/docs/rung.1" || fail_with "the page lacks status $word"
    done
}

@test "pages, rung.pc and --version have runner.h's version" {
    [ -z "${SANITIZED-}" ] || skip 'asan: what is installed is not built with it'
    local version page
    version=$(sed -n 's/^#define RUNG_VERSION "\(.*\)"/\1/p' "$repo/runner.h")
    [ -n "$version" ]
    make -C "$repo" -s install DESTDIR="$T/root" PREFIX=/usr 3>&- 4>&-
    for page in rung rung-import; do
        assert_equal "$("$T/root/usr/bin/$page" --version)" "$page $version"
        assert_equal "$(mandoc -Tlint -Wwarning "$T/root/usr/share/man/man1/$page.1")" ''
        mandoc -Tutf8 "$T/root/usr/share/man/man1/$page.1" | tail -1 >foot
        grep -qE "^rung ${version//./\\.} " foot || fail_with "$(cat foot)"
    done
    assert_equal "$(PKG_CONFIG_PATH=$T/root/usr/lib/pkgconfig pkg-config --modversion rung)" "$version"
    # The version is nobody's second copy.
    assert_equal "$(cd "$repo" && grep -lF "\"$version\"" ./*.c ./*.h Makefile docs/*.1)" ./runner.h
}
