#!/usr/bin/env bats
# Tools that npm has, themselves: `make check-import` installs them into build/tools.
# What they do is played by hand in tests/cli/adopt.bats, which needs no npm.
load ../lib/helpers
load ../lib/adopt

tools=$repo/build/tools/node_modules

@test "dbmate itself" {
    dbmate_() {
        "$tools/.bin/dbmate" --no-dump-schema -d "$1" -u "postgres:///$PGDATABASE?host=$PGHOST&user=postgres&sslmode=disable" \
            up >"$T/log" 2>&1 3>&- 4>&- || fail_with "$(cat "$T/log")"
    }
    dbmate_project
    mkdir part && cp old/[12]* part
    in_full dbmate_ old
    dbmate_ part
    taken_over dbmate old --replace
}

@test "node-pg-migrate itself" {
    migrate_() {
        "$tools/.bin/node-pg-migrate" "$@" -m old >"$T/log" 2>&1 3>&- 4>&- ||
            fail_with "$(cat "$T/log")"
    }
    printf -- '-- Up Migration\n%s\n-- Down Migration\nDROP TABLE one;\n' "$one" |
        old 1577836800000_one.sql
    old 1577836900000_two.sql <<<"${two/ CONCURRENTLY/}"
    old 1577837000000_three.sql <<<"$three"
    in_full migrate_ up
    migrate_ up 2
    tool_tables=(pgmigrations)
    rest=('applied 1577837000000_three.sql (2 statements)')
    taken_over node-pg-migrate old
}

@test "postgres-migrations itself" {
    migrate_() {
        NODE_PATH=$tools node -e '
            const pg = require("pg");
            (async () => {
                const client = new pg.Client();
                await client.connect();
                await require("postgres-migrations").migrate({ client }, process.argv[1]);
                await client.end();
            })().catch(e => { console.error(e); process.exit(1); });' "$1" \
            >"$T/log" 2>&1 3>&- 4>&- || fail_with "$(cat "$T/log")"
    }
    old 1_one.sql <<<"$one"
    old 2-two.sql <<<"-- postgres-migrations disable-transaction"$'\n'"$two"
    old 3_three.sql <<<"$three"
    mkdir part && cp old/[12]* part
    in_full migrate_ old
    migrate_ part
    tool_tables=(migrations)
    taken_over postgres-migrations old
}

@test "graphile-migrate itself" {
    migrate_() {
        # `migrate` touches neither root nor shadow, but wants other URLs for them.
        (cd "$1" && DATABASE_OWNER=postgres SHADOW_DATABASE_URL=postgresql:///shadow \
            ROOT_DATABASE_URL=postgresql:///postgres \
            "$tools/.bin/graphile-migrate" migrate >"$T/log" 2>&1 3>&- 4>&-) ||
            fail_with "$(cat "$T/log")"
    }
    commit() {
        NODE_PATH=$tools node -e '
            const { calculateHash } = require("graphile-migrate/dist/hash");
            const [name, body] = process.argv.slice(1), fs = require("fs");
            const last = fs.existsSync("last") ? fs.readFileSync("last", "utf8") : null;
            const hash = calculateHash(body + "\n", last);
            fs.writeFileSync("last", hash);
            fs.writeFileSync("old/migrations/committed/" + name,
                `--! Previous: ${last || "-"}\n--! Hash: ${hash}\n\n${body}\n`);' "$@" 3>&- 4>&-
    }
    mkdir -p old/migrations/committed
    echo '{}' >old/.gmrc
    commit 000001-first.sql "$one"
    commit 000002.sql "--! no-transaction"$'\n'"$two"
    commit 000003.sql "$three"
    cp -r old part && rm part/migrations/committed/000003.sql
    in_full migrate_ old
    migrate_ part
    tool_schemas=(graphile_migrate)
    rest=('applied 000003_migration.sql (2 statements)')
    taken_over graphile-migrate old/migrations
}
