#!/usr/bin/env bats
# What docs/ci.md tells the reader to write: run, or at least read.

load ../lib/helpers

blocks() {
    python3 "$repo/tests/lib/blocks.py" "$@"
}

setup() {
    rung_setup
    mkdir bin
    ln -s "$RUNG" bin/rung # as on the reader's machine
    export PATH=$T/bin:$PATH
    migration 001_t <<<'CREATE TABLE t (n int); INSERT INTO t VALUES (1);'
}

# said STATUS TEXT...: how the last `run` ended, and what it printed, among other things.
said() {
    [ "$status" -eq "$1" ] || fail_with "status $status: $output" || return 1
    shift
    for text; do
        [[ $output == *"$text"* ]] || fail_with "not said: $text" "$output" || return 1
    done
}

@test "ci.md: its YAML can be read, and names the hooks that there are" {
    blocks "$repo/docs/ci.md" yaml 'GitHub Actions' >github.yaml
    blocks "$repo/docs/ci.md" yaml 'GitLab CI' >gitlab.yaml
    blocks "$repo/docs/ci.md" yaml 'Before a commit' >commit.yaml
    /usr/bin/python3 - "$repo/.pre-commit-hooks.yaml" <<'P'
import sys, yaml
yaml.safe_load(open("github.yaml"))
yaml.safe_load(open("gitlab.yaml"))
hooks = {hook["id"] for hook in yaml.safe_load(open(sys.argv[1]))}
wanted = yaml.safe_load(open("commit.yaml"))["repos"][0]["hooks"]
assert {hook["id"] for hook in wanted} == hooks, hooks
P
}

@test "ci.md: its commands agree with a branch that is good, and find one that is not" {
    local script name
    git init -q . && git config user.email t@localhost && git config user.name T
    migration 001_t.down <<<'DROP TABLE t;'
    git add migrations && git commit -q -m base && git branch upstream
    migration 002_u <<<'CREATE TABLE u (n int);'
    export BASE=upstream
    blocks "$repo/docs/ci.md" sh 'A shell' >shell
    blocks "$repo/docs/ci.md" yaml 'GitHub Actions' | sed -n 's/^ *- run: //p' >github
    blocks "$repo/docs/ci.md" yaml 'GitLab CI' | sed -n 's/^ *- \(rung.*\)/\1/p' >gitlab
    sed -n 's/^  entry: //p' "$repo/.pre-commit-hooks.yaml" >hooks
    assert_equal "$(cat shell github gitlab hooks | wc -l)" 11 # 3, 3, 3 and 2
    unset DATABASE_URL
    for name in shell github gitlab hooks; do
        run bash -e "$name" 3>&- 4>&-
        said 0
    done
    echo '-- edited' >>migrations/001_t.sql
    for name in shell github gitlab; do
        run bash -e "$name" 3>&- 4>&-
        said 3 'edited: it is not what upstream has'
    done
}
