#!/usr/bin/env bats
# shellcheck disable=SC2016 # what other shells are to expand
#
# The completions for bash, zsh and fish: each shell completes with what was generated.
load ../lib/helpers

setup_file() {
    local shell
    for shell in bash zsh fish; do
        "$BATS_TEST_DIRNAME/../../scripts/completions" "$shell" "$RUNG" \
            >"$BATS_FILE_TMPDIR/$shell"
    done
}

# in_bash WORD..., in_zsh, in_fish: what the last of the words may become, a line each.
in_bash() {
    bash --norc -c 'source "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _rung 2>/dev/null
        printf "%s\n" "${COMPREPLY[@]}"' - "$BATS_FILE_TMPDIR/bash" "$@" | sort
}

# zsh's own matching is left out: what is given to it is what counts.
in_zsh() {
    zsh -f -c 'compadd() { shift; print -l -- $@; }
        file=$1; shift; words=("$@"); CURRENT=$#
        source $file' - "$BATS_FILE_TMPDIR/zsh" "$@" | grep -e "^${*: -1}" | sort
}

in_fish() {
    HOME=$T XDG_CONFIG_HOME=$T XDG_DATA_HOME=$T fish --no-config -c 'source $argv[1]; complete -C "$argv[2]"' \
        "$BATS_FILE_TMPDIR/fish" "$*" 3>&- 4>&- | cut -f1 | sort
}

# In every shell: completes WORD... -- RESULT...
completes() {
    local shell words=()
    while [ "$1" != -- ]; do words+=("$1"); shift; done
    shift
    for shell in bash zsh fish; do
        assert_equal "$shell: $("in_$shell" "${words[@]}" | xargs)" "$shell: $*"
    done
}

files() {
    touch migrations/001_one.sql migrations/001_one.down.sql migrations/002_two.sql migrations/notes.txt
}

@test "the files that are generated are without errors of syntax" {
    bash -n "$BATS_FILE_TMPDIR/bash"
    zsh -f -n "$BATS_FILE_TMPDIR/zsh"
    fish --no-execute "$BATS_FILE_TMPDIR/fish"
}

@test "each shell completes every command of --help" {
    local commands
    commands=$("$RUNG" --help | awk '/^Commands:/ { on = 1; next } !NF { on = 0 } on { print $1 }' | sort | xargs)
    [[ $commands == *renumber* ]]
    # shellcheck disable=SC2086 # words
    completes rung '' -- $commands
    completes rung st -- stamp status
    # shellcheck disable=SC2086 # words
    completes rung help '' -- $commands
    completes rung -d postgresql:///app st -- stamp status
}

@test "each shell completes every option of a command, and no other" {
    local command options shell
    for command in up down verify lint test; do
        options=$("$RUNG" help "$command" | grep -oE '^ .{5}--[a-z-]+' | grep -oE -e '--.*' | sort | xargs)
        [[ $options == *--quiet* ]]
        for shell in bash zsh fish; do
            assert_equal "$shell: $("in_$shell" rung "$command" -- | xargs)" "$shell: $options"
        done
    done
}

@test "each shell completes values: words, versions of the directory" {
    files
    completes rung up --format '' -- github json text
    completes rung up --color a -- always auto
    completes rung up '' -- 001 002
    completes rung down --to '' -- 001 002
    mkdir other && touch other/7_x.sql
    completes rung show -m other '' -- 7
    completes rung status -d '' --
    export RUNG_DIR=other
    completes rung show '' -- 7
}

@test "bash completes --option=value" {
    assert_equal "$(in_bash rung up --format = j)" json
    assert_equal "$(in_bash rung up --format = | xargs)" 'github json text'
}

@test "a file's name is not run" {
    files
    touch 'migrations/1$(touch ran)_x.sql' 'migrations/1`touch ran`_x.sql'
    completes rung up '' -- 001 002
    [ ! -e ran ]
}
