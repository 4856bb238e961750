-- Who uses the assistant, how it is set up, and which models it may ask.

CREATE TABLE users (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email        text NOT NULL CHECK (email LIKE '%_@_%'),
    display_name text NOT NULL DEFAULT '',
    is_admin     boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);

-- One account per address, however it is capitalised.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

CREATE TABLE system_settings (
    key         text PRIMARY KEY,
    value       jsonb NOT NULL,
    description text NOT NULL DEFAULT '',
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE model_configurations (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    provider    text NOT NULL,
    model       text NOT NULL,
    temperature numeric(3, 2) NOT NULL DEFAULT 0.70 CHECK (temperature BETWEEN 0 AND 2),
    max_tokens  integer NOT NULL DEFAULT 4096 CHECK (max_tokens > 0),
    is_default  boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- At most one row may be the default: the index holds only rows where it is true.
CREATE UNIQUE INDEX model_configurations_one_default
    ON model_configurations (is_default) WHERE is_default;

INSERT INTO system_settings (key, value, description) VALUES
    ('assistant.name', '"Assistant"', 'what the assistant calls itself'),
    ('conversation.retention_days', '365', 'older conversations may be deleted'),
    ('conversation.max_messages', '1000', 'longer conversations are closed');

INSERT INTO model_configurations (name, provider, model, temperature, max_tokens, is_default) VALUES
    ('balanced', 'local', 'assistant-medium', 0.70, 4096, true),
    ('precise', 'local', 'assistant-large', 0.10, 8192, false),
    ('fast', 'local', 'assistant-small', 0.70, 2048, false);
