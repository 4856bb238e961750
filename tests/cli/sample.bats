#!/usr/bin/env bats
# The sample in migrations/ does what its comments say, up and down, with and without
# pgvector (a stub of it: tests/lib/vector-stub).

load ../lib/helpers
load ../lib/cluster.sh

setup() {
    rung_setup
    # For the one test that boots a server of its own; see teardown.
    private=$BATS_TEST_TMPDIR/private
}

teardown() {
    [ ! -e "$private" ] || cluster_stop "$(cat "$private")"
    rung_teardown
}

# Apply the sample, in the test's database.
sample_up() {
    run_rung up -m "$repo/migrations"
    assert_status 0
}

# Undo it with psql, newest first, down to and including the number $1.
sample_down() {
    local file
    while read -r file; do
        ((10#$(basename "$file" | cut -c 1-3) >= $1)) || break
        psql_files "$file" || return 1
    done < <(printf '%s\n' "$repo"/migrations/*.down.sql | sort -r)
}

# A user and a conversation, both number 1.
conversation() {
    sql "INSERT INTO users (email) VALUES ('ada@example.org');
         INSERT INTO conversations (user_id) VALUES (1)"
}

@test "all six files are applied, and make what psql makes of them" {
    sample_up
    assert_applied 1 2 3 4 5 6

    create_database "${PGDATABASE}_psql"
    local rungs=$PGDATABASE
    use_database "${PGDATABASE}_psql"
    for file in "$repo"/migrations/???_*.sql; do
        [[ $file == *.down.sql ]] || psql_files "$file"
    done
    assert_equal "$(schema_dump "$rungs")" "$(schema_dump)"
}

@test "the default rows are there, and only one model is the default" {
    sample_up
    assert_sql "SELECT name FROM model_configurations WHERE is_default" balanced
    run sql "UPDATE model_configurations SET is_default = true"
    assert_has psql "$output" model_configurations_one_default
}

@test "an address belongs to one user, however it is capitalised" {
    sample_up
    sql "INSERT INTO users (email) VALUES ('ada@example.org')"
    run sql "INSERT INTO users (email) VALUES ('Ada@Example.org')"
    assert_has psql "$output" users_email_key
}

@test "updated_at moves when a row changes, created_at does not" {
    sample_up
    conversation
    sql "UPDATE conversations SET title = 'on engines'"
    assert_sql "SELECT updated_at > created_at FROM conversations" t
}

@test "a message is counted for its conversation and day" {
    sample_up
    conversation
    sql "INSERT INTO messages (conversation_id, role, content, token_count, created_at) VALUES
         (1, 'user', 'one', 3, '2025-06-01 10:00Z'),
         (1, 'assistant', 'two', 40, '2025-06-01 23:59Z'),
         (1, 'user', 'three', 500, '2025-06-02 00:00Z')"
    assert_sql "SELECT day, message_count, token_count FROM conversation_statistics ORDER BY day" \
        '2025-06-01|2|43' '2025-06-02|1|500'
}

@test "a changed or deleted message is counted anew" {
    sample_up
    conversation
    sql "INSERT INTO messages (conversation_id, role, content, token_count) VALUES
         (1, 'user', 'one', 3), (1, 'assistant', 'two', 40)"
    sql "UPDATE messages SET token_count = 5 WHERE content = 'one'"
    assert_sql "SELECT message_count, token_count FROM conversation_statistics" '2|45'
    sql "DELETE FROM messages WHERE content = 'two'"
    assert_sql "SELECT message_count, token_count FROM conversation_statistics" '1|5'
}

@test "many writers at once count every message" {
    sample_up
    conversation
    local i
    for i in 1 2 3 4 5 6 7 8; do
        sql "INSERT INTO messages (conversation_id, role, content, token_count)
             SELECT 1, 'user', 'n', 1 FROM generate_series(1, 50)" 3>&- &
        writers[i]=$!
    done
    wait "${writers[@]}"
    assert_sql "SELECT message_count, token_count FROM conversation_statistics" '400|400'
}

@test "the upsert has its unique constraint" {
    sample_up
    assert_sql "SELECT pg_get_constraintdef(oid) FROM pg_constraint
                WHERE conrelid = 'conversation_statistics'::regclass AND contype = 'u'" \
        'UNIQUE (conversation_id, day)'
}

@test "a conversation that is deleted takes messages and statistics with it" {
    sample_up
    conversation
    sql "INSERT INTO messages (conversation_id, role, content) VALUES (1, 'user', 'one')"
    sql "DELETE FROM users"
    assert_sql "SELECT count(*) FROM messages" 0
    assert_sql "SELECT count(*) FROM conversation_statistics" 0
}

@test "content_hash is what sha256sum prints" {
    sample_up
    assert_sql "SELECT content_hash('Grüße')" "$(printf 'Grüße' | sha256sum | cut -d ' ' -f 1)"
    assert_sql "SELECT content_hash(NULL) IS NULL" t
    sql "INSERT INTO knowledge_base (title, content) VALUES ('a', 'same')"
    run sql "INSERT INTO knowledge_base (title, content) VALUES ('b', 'same')"
    assert_has psql "$output" knowledge_base_content_hash_key
}

@test "the knowledge base is searched by words, a title before a text" {
    sample_up
    sql "INSERT INTO knowledge_base (title, content) VALUES
         ('Looms', 'weave what engines compute'), ('Engines', 'compute')"
    assert_sql "SELECT title FROM knowledge_base, to_tsquery('english', 'engine') query
                WHERE search @@ query ORDER BY ts_rank(search, query) DESC" Engines Looms
}

@test "without pgvector the embedding is an array" {
    [ "$(sql "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")" -eq 0 ] ||
        skip 'root: this server has the real pgvector'
    sample_up
    assert_sql "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
                WHERE attrelid = 'conversation_embeddings'::regclass AND attname = 'embedding'" \
        'real[]'
    assert_sql "SELECT to_regclass('conversation_embeddings_nearest') IS NULL" t
}

# Boot a server that offers the stub, and point rung and sql to it.
use_server_with_vector() {
    local dir
    dir=$(cluster_make_dir)
    printf '%s\n' "$dir" >"$private"
    CLUSTER_POSTGRES=$(cluster_with_extension "$dir" "$repo/tests/lib/vector-stub")
    cluster_start "$dir" 3>&- 4>&-
    databases=()
    create_database with_vector
    use_database with_vector
}

@test "with pgvector (a stub) the embedding is a vector with an HNSW index" {
    use_server_with_vector
    sample_up
    assert_sql "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
                WHERE attrelid = 'conversation_embeddings'::regclass AND attname = 'embedding'" \
        'vector(768)'
    assert_sql "SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam
                WHERE relname = 'conversation_embeddings_nearest'" hnsw

    # Back and forth again: the extension that stayed is no obstacle.
    sample_down 3
    psql_files "$repo/migrations/003_embeddings.sql"
}

@test "with pgvector (a stub) that one may not install the embedding is an array" {
    use_server_with_vector
    sed -i 's/trusted = true/trusted = false/' \
        "$(cat "$private")$("$PG_BINDIR/pg_config" --sharedir)/extension/vector.control"
    sql "CREATE ROLE app LOGIN; ALTER DATABASE with_vector OWNER TO app;
         ALTER SCHEMA public OWNER TO app"
    use_database with_vector app
    sample_up
    assert_sql "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
                WHERE attrelid = 'conversation_embeddings'::regclass AND attname = 'embedding'" \
        'real[]'
}

@test "every index of 006 is valid" {
    sample_up
    assert_sql "SELECT count(*) FROM pg_index WHERE NOT indisvalid" 0
    assert_sql "SELECT to_regclass('messages_by_conversation') IS NOT NULL" t
}

@test "the down files undo all of it" {
    sample_up
    conversation
    sql "INSERT INTO messages (conversation_id, role, content) VALUES (1, 'user', 'one')"
    sample_down 1
    sql "DROP TABLE schema_migrations"
    assert_untouched
    assert_equal "$(schema_dump)" "$(schema_dump template1)"
}

@test "each down file undoes exactly its own file" {
    sample_up
    local file number before
    for file in "$repo"/migrations/*.down.sql; do
        number=$((10#$(basename "$file" | cut -c 1-3)))
        sample_down "$number"
        if ((number > 1)); then
            create_database "${PGDATABASE}_$number"
            before=$(use_database "${PGDATABASE}_$number" &&
                run_rung up -m "$repo/migrations" $((number - 1)) && schema_dump)
            assert_equal "$(schema_dump)" "$before"
        fi
        for up in "$repo"/migrations/???_*.sql; do
            [[ $up != *.down.sql ]] || continue
            ((10#$(basename "$up" | cut -c 1-3) < number)) || psql_files "$up"
        done
    done
}
