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
        "$BATS_TEST_DIRNAME/../../scripts/completions" "$shell" "${RUNG%/*}/rung-import" \
            >"$BATS_FILE_TMPDIR/$shell.import"
    done
}

# The file for the program that is completed, its first WORD.
generated() {
    case $2 in
    rung-import) printf '%s' "$BATS_FILE_TMPDIR/$1.import" ;;
    *) printf '%s' "$BATS_FILE_TMPDIR/$1" ;;
    esac
}

# in_bash WORD..., in_zsh, in_fish: what the last of the words may become, a line each.
in_bash() {
    bash --norc -c 'source "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "_${1//-/_}" 2>/dev/null
        printf "%s\n" "${COMPREPLY[@]}"' - "$(generated bash "$@")" "$@" | sort
}

# zsh's own matching is left out: what is given to it is what counts.
in_zsh() {
    zsh -f -c 'compadd() { shift; print -l -- $@; }
        file=$1; shift; words=("$@"); CURRENT=$#
        source $file' - "$(generated zsh "$@")" "$@" | grep -e "^${*: -1}" | sort
}

in_fish() {
    HOME=$T XDG_CONFIG_HOME=$T XDG_DATA_HOME=$T fish --no-config -c 'source $argv[1]; complete -C "$argv[2]"' \
        "$(generated fish "$@")" "$*" 3>&- 4>&- | cut -f1 | sort
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
    local which
    for which in '' .import; do
        bash -n "$BATS_FILE_TMPDIR/bash$which"
        zsh -f -n "$BATS_FILE_TMPDIR/zsh$which"
        fish --no-execute "$BATS_FILE_TMPDIR/fish$which"
    done
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

@test "each shell completes rung-import: commands, options, tools" {
    local tools
    tools=$("${RUNG%/*}/rung-import" --help | awk '/^TOOL is/ { on = 1; next } !NF { on = 0 } on' | xargs -n1 | sort | xargs)
    [[ $tools == *sqitch* ]]
    completes rung-import '' -- files history
    completes rung-import h -- history
    # shellcheck disable=SC2086 # words
    completes rung-import files --from '' -- $tools
    completes rung-import history -f go -- golang-migrate goose
    completes rung-import files --w -- --write
    completes rung-import history --re -- --replace
    completes rung-import files --re --
    completes rung-import history -d '' --
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

@test "directories are completed by the shell itself, with a space in the name" {
    mkdir 'my dir'
    cat >rc <<'RC'
rung() { printf '<%s>' "$@"; echo; }
bind 'set enable-bracketed-paste off'
RC
    cat "$BATS_FILE_TMPDIR/bash" >>rc
    printf 'rung -m my\t x\nrung --dir=my\t x\nexit\n' |
        script -qec 'bash --noprofile --rcfile rc -i' /dev/null >out 2>&1 3>&- 4>&-
    grep -qF '<-m><my dir/><x>' out || fail_with "$(cat out)"
    grep -qF '<--dir=my dir/><x>' out || fail_with "$(cat out)"
    assert_equal "$(in_fish rung -m my)" 'my dir/'
    assert_equal "$(in_fish rung status -m my)" 'my dir/'
}

@test "zsh completes --option=value" {
    cat >try <<'ZSH'
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'autoload -Uz compinit; compinit -u -D; rung() { print -l "<$1>" "<$2>" }; PS1='
zpty -w z "fpath=(); source $1 2>/dev/null; compdef _rung rung; print ready"
zpty -r z seen '*ready*ready*'
zpty -n -w z $'rung up --format=j\t\n'
zpty -r -m z seen '*<--format=json>*' && print found
ZSH
    assert_equal "$(timeout 60 zsh -f try "$BATS_FILE_TMPDIR/zsh" 3>&- 4>&-)" found
}

@test "fish says what a wait is by default" {
    complete=$(HOME=$T XDG_CONFIG_HOME=$T XDG_DATA_HOME=$T fish --no-config -c \
        'source $argv[1]; complete -C "rung up --lock-"' "$BATS_FILE_TMPDIR/fish" 3>&- 4>&-)
    assert_lines "$complete" \
        $'--lock-retry-for\twhile a file that met it is tried again [1min]' \
        $'--lock-timeout\tof a statement for its locks (0: none) [3s]' \
        $'--lock-wait\tfor another rung to finish [forever]'
}
