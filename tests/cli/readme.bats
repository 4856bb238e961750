#!/usr/bin/env bats
# What README.md and docs/ show is what happens.
load ../lib/helpers

# A directory as the reader has it: the sample, an empty database, rung and psql at hand.
as_a_reader() {
    rm -rf migrations && cp -r "$repo/migrations" migrations
    mkdir bin && ln -s "$RUNG" bin/rung
    export PATH="$T/bin:$PG_BINDIR:$PATH"
    git config --global user.name test && git config --global user.email test@localhost
}

@test "every command in README.md prints what README.md says" {
    as_a_reader
    run python3 "$repo/tests/lib/console.py" "$repo/README.md"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "every command in docs/json.md prints what docs/json.md says" {
    as_a_reader
    run python3 "$repo/tests/lib/console.py" "$repo/docs/json.md"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "every command in docs/tutorial.md prints what docs/tutorial.md says" {
    as_a_reader
    rm -rf migrations
    run python3 "$repo/tests/lib/console.py" "$repo/docs/tutorial.md"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "README.md names every module, every exit status and every command" {
    local file command
    for file in "$repo"/*.c; do
        grep -qF "\`${file##*/}\`" "$repo/README.md" || fail_with "no ${file##*/}"
    done
    for command in $("$RUNG" --help | awk '/^Commands:/ { on = 1; next } !NF { on = 0 } on { print $1 }'); do
        grep -q "rung $command" "$repo/README.md" || fail_with "no rung $command"
    done
}
