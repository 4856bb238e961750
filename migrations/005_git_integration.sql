-- Repositories the assistant knows, their commits, and where they were talked about.

CREATE TABLE repositories (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id       bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    name           text NOT NULL,
    remote_url     text NOT NULL,
    default_branch text NOT NULL DEFAULT 'main',
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner_id, name)
);

CREATE TABLE commits (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository_id bigint NOT NULL REFERENCES repositories ON DELETE CASCADE,
    hash          text NOT NULL CHECK (hash ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
    author_email  text NOT NULL,
    message       text NOT NULL,
    committed_at  timestamptz NOT NULL,
    UNIQUE (repository_id, hash)
);

CREATE TABLE commit_files (
    commit_id bigint NOT NULL REFERENCES commits ON DELETE CASCADE,
    path      text NOT NULL,
    change    text NOT NULL CHECK (change IN ('added', 'modified', 'deleted', 'renamed')),
    old_path  text,
    PRIMARY KEY (commit_id, path),
    CHECK ((old_path IS NOT NULL) = (change = 'renamed'))
);

CREATE TABLE conversation_commits (
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    commit_id       bigint NOT NULL REFERENCES commits ON DELETE CASCADE,
    PRIMARY KEY (conversation_id, commit_id)
);

CREATE TRIGGER repositories_updated_at BEFORE UPDATE ON repositories
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
