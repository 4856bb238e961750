-- Conversations, their messages, and how much was said on which day.

CREATE TABLE conversations (
    id                     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id                bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    model_configuration_id bigint REFERENCES model_configurations ON DELETE SET NULL,
    title                  text NOT NULL DEFAULT '',
    archived               boolean NOT NULL DEFAULT false,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE messages (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    role            text NOT NULL CHECK (role IN ('system', 'user', 'assistant', 'tool')),
    content         text NOT NULL,
    token_count     integer NOT NULL DEFAULT 0 CHECK (token_count >= 0),
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- One row per conversation and day (in UTC), kept by the trigger below.  Its ON CONFLICT
-- clause relies on the unique constraint.
CREATE TABLE conversation_statistics (
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    day             date NOT NULL,
    message_count   integer NOT NULL DEFAULT 0 CHECK (message_count >= 0),
    token_count     bigint NOT NULL DEFAULT 0 CHECK (token_count >= 0),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT conversation_statistics_conversation_day UNIQUE (conversation_id, day)
);

-- For BEFORE UPDATE triggers of every table with a column updated_at.
CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;

CREATE TRIGGER users_updated_at BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER system_settings_updated_at BEFORE UPDATE ON system_settings
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER model_configurations_updated_at BEFORE UPDATE ON model_configurations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER conversations_updated_at BEFORE UPDATE ON conversations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER conversation_statistics_updated_at BEFORE UPDATE ON conversation_statistics
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

-- Count a new message, take a deleted one off again; a changed one is both.  Taking off
-- is no upsert: when a whole conversation goes, its statistics may be gone already.
CREATE FUNCTION count_message() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        UPDATE conversation_statistics
        SET message_count = message_count - 1,
            token_count = token_count - OLD.token_count
        WHERE conversation_id = OLD.conversation_id
            AND day = (OLD.created_at AT TIME ZONE 'UTC')::date;
    END IF;

    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO conversation_statistics AS s (conversation_id, day, message_count, token_count)
        VALUES (NEW.conversation_id, (NEW.created_at AT TIME ZONE 'UTC')::date, 1, NEW.token_count)
        ON CONFLICT (conversation_id, day) DO UPDATE
        SET message_count = s.message_count + 1,
            token_count = s.token_count + EXCLUDED.token_count;
    END IF;

    RETURN NULL; -- nobody looks at what an AFTER trigger returns
END;
$$;

CREATE TRIGGER messages_count
    AFTER INSERT OR DELETE OR UPDATE OF conversation_id, token_count, created_at ON messages
    FOR EACH ROW EXECUTE FUNCTION count_message();
