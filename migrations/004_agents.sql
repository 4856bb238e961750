-- Agents: an instruction, a model and some tools.  A run of one is a list of steps.

CREATE TYPE agent_run_status AS ENUM ('queued', 'running', 'succeeded', 'failed', 'cancelled');

CREATE TABLE agents (
    id                     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                   text NOT NULL UNIQUE,
    instruction            text NOT NULL,
    model_configuration_id bigint REFERENCES model_configurations ON DELETE SET NULL,
    tools                  jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(tools) = 'array'),
    enabled                boolean NOT NULL DEFAULT true,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE agent_runs (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id        bigint NOT NULL REFERENCES agents ON DELETE CASCADE,
    conversation_id bigint REFERENCES conversations ON DELETE SET NULL,
    status          agent_run_status NOT NULL DEFAULT 'queued',
    error           text,
    queued_at       timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    CHECK (finished_at >= started_at),
    CHECK ((error IS NULL) OR (status = 'failed'))
);

CREATE TABLE agent_steps (
    agent_run_id bigint NOT NULL REFERENCES agent_runs ON DELETE CASCADE,
    number       integer NOT NULL CHECK (number > 0),
    tool         text NOT NULL,
    input        jsonb NOT NULL DEFAULT '{}',
    output       jsonb,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent_run_id, number)
);

CREATE TRIGGER agents_updated_at BEFORE UPDATE ON agents
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

INSERT INTO agents (name, instruction, tools) VALUES
    ('researcher', 'Answer from the knowledge base; say so when it is silent.', '["search"]'),
    ('reviewer', 'Read the change and name what is wrong; praise nothing.', '["diff", "blame"]');
