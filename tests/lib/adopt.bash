# shellcheck shell=bash disable=SC2154
# tests/lib/adopt.bash: a project of another tool's, taken over.  `load ../lib/adopt` behind
# ../lib/helpers.

import=${RUNG%/*}/rung-import

# What the three migrations of most projects here do.
one='CREATE TABLE one (id int PRIMARY KEY, name text);'
two='CREATE INDEX CONCURRENTLY one_name ON one (name);'
three="CREATE FUNCTION three() RETURNS int LANGUAGE plpgsql AS \$\$
BEGIN
    RETURN 3;
END \$\$;
INSERT INTO one VALUES (3, 'it''s; three');"

run_import() {
    program=$import run_rung "$@"
}

# Write stdin to old/NAME.
old() {
    mkdir -p "$(dirname "old/$1")"
    cat >"old/$1"
}

# by_hand SQL...: each as a tool would send it.
by_hand() {
    local text
    for text; do sql "$text" >/dev/null; done
}

# The database as pg_dump prints it, without the tables of rung and of the tool.
dump() {
    local hidden=(--exclude-table='*.schema_migrations*') table
    for table in "${tool_tables[@]}"; do hidden+=(--exclude-table="$table*"); done
    "$PG_BINDIR/pg_dump" --no-comments "${hidden[@]}" "${tool_schemas[@]/#/--exclude-schema=}" \
        "$1" 3>&- 4>&- | sed -e '/^--/d' -e '/^\\/d' -e '/^$/d' -e '/^SET /d'
}

# in_full COMMAND...: in a second database, `full`, where the tool does all of it.
in_full() {
    local here=$PGDATABASE
    full=${here}_full
    [[ " ${databases[*]} " == *" $full "* ]] || create_database "$full"
    use_database "$full"
    "$@"
    use_database "$here"
}

# taken_over TOOL SOURCE OPTION...: convert the files, record the history, apply the rest,
# and compare.  $rest is what `up` says.
taken_over() {
    local tool=$1 source=$2
    shift 2
    run_import files --from "$tool" "$source" --write
    assert_status 0
    run_import history --from "$tool" "$@"
    assert_status 0
    assert_err_has 'nothing was recorded: --yes does'
    run_import history --from "$tool" --yes "$@"
    assert_status 0
    run_rung up
    assert_status 0
    assert_done "${rest[@]}"
    run_rung verify
    assert_status 0
    assert_equal "$(dump "$PGDATABASE")" "$(dump "$full")"
}

rest=('applied 3_three.sql (2 statements)')
tool_tables=()
tool_schemas=()

# The ledger's rows that were adopted.
assert_adopted() {
    assert_sql "SELECT version, filename, to_char(applied_at AT TIME ZONE 'UTC',
        'YYYY-MM-DD HH24:MI:SS'), applied_by, duration_ms, statements, note
        FROM schema_migrations WHERE note LIKE 'adopted%' ORDER BY version" "$@"
}

# The same where the time is that of adoption.
assert_adopted_now() {
    assert_sql "SELECT version, filename, applied_at > now() - interval '1 hour',
        applied_by, duration_ms, statements, note
        FROM schema_migrations WHERE note LIKE 'adopted%' ORDER BY version" "$@"
}

# A project of dbmate's, and its first two migrations applied by hand.
dbmate_table='CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY);'

dbmate_project() {
    printf -- '-- migrate:up\n%s\n-- migrate:down\nDROP TABLE one;\n' "$one" | old 1_one.sql
    printf -- '-- migrate:up transaction:false\n%s\n-- migrate:down\n' "$two" | old 2_two.sql
    printf -- '-- migrate:up\n%s\n-- migrate:down\n' "$three" | old 3_three.sql
}

dbmate_part() {
    by_hand "$one" "$two" "$dbmate_table" \
        "INSERT INTO schema_migrations VALUES ('1'), ('2')"
}
