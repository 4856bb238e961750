-- What was said and what is known, so that it can be found again: by words with
-- full-text search, by meaning with embeddings.

-- SHA-256 of a text in hexadecimal.  sha256() is the server's own: no extension needed.
CREATE FUNCTION content_hash(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN encode(sha256(convert_to(content, 'UTF8')), 'hex');

CREATE TABLE embedding_models (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    dimensions integer NOT NULL CHECK (dimensions > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO embedding_models (name, dimensions) VALUES ('embedding-small', 768);

-- The column `embedding` follows below: its type depends on the server.
CREATE TABLE conversation_embeddings (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id    bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    embedding_model_id bigint NOT NULL REFERENCES embedding_models,
    content            text NOT NULL,
    content_hash       text NOT NULL GENERATED ALWAYS AS (content_hash(content)) STORED,
    created_at         timestamptz NOT NULL DEFAULT now(),
    -- The same text is embedded once per model, not once per occurrence.
    UNIQUE (conversation_id, embedding_model_id, content_hash)
);

CREATE TABLE knowledge_base (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title        text NOT NULL,
    content      text NOT NULL,
    tags         text[] NOT NULL DEFAULT '{}',
    content_hash text NOT NULL GENERATED ALWAYS AS (content_hash(content)) STORED UNIQUE,
    -- A word in the title counts more than one in the text.
    search       tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A') ||
        setweight(to_tsvector('english', content), 'B')
    ) STORED,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX knowledge_base_search ON knowledge_base USING gin (search);
CREATE INDEX knowledge_base_tags ON knowledge_base USING gin (tags);

CREATE TRIGGER knowledge_base_updated_at BEFORE UPDATE ON knowledge_base
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

-- With pgvector a vector column and an index for nearest neighbours; without it, or
-- without the right to install it, a plain array that can be converted later.
DO $$
DECLARE
    has_vector boolean;
BEGIN
    SELECT count(*) > 0 INTO has_vector
    FROM pg_available_extensions WHERE name = 'vector';

    IF has_vector THEN
        BEGIN
            CREATE EXTENSION IF NOT EXISTS vector;
        EXCEPTION WHEN insufficient_privilege THEN
            has_vector := false;
        END;
    END IF;

    IF has_vector THEN
        ALTER TABLE conversation_embeddings ADD COLUMN embedding vector(768);
        CREATE INDEX conversation_embeddings_nearest
            ON conversation_embeddings USING hnsw (embedding vector_cosine_ops);
    ELSE
        ALTER TABLE conversation_embeddings ADD COLUMN embedding real[];
    END IF;
END;
$$;
