#!/usr/bin/env bats
load ../lib/helpers

# The program that fails its own allocations; beside the rung that is tested.
setup_file() {
    export FAULT=${RUNG%/*}/tests/test_fault
    [ -x "$FAULT" ] || FAULT=${RUNG%/*}/build/tests/test_fault
    [ -x "$FAULT" ] || make -s -C "$BATS_TEST_DIRNAME/../.." build/tests/test_fault
}

@test "want of memory in a run is an error, and the next run ends in the same database" {
    # every seventh allocation, to be quick; test_fault.c says how to try them all
    run env RUNG_FAULT_DATABASE="$DATABASE_URL" RUNG_FAULT_EVERY=7 "$FAULT"
    echo "$output"
    [ "$status" -eq 0 ]
    assert_sql "SELECT count(*) FROM pg_class WHERE relname LIKE 'fault%'" 0
}
