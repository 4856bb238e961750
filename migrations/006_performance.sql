-- rung: no-transaction
--
-- Indexes for what the application asks most.  CONCURRENTLY builds them without keeping
-- writers out, and cannot run inside a transaction.

-- a conversation, oldest message first
CREATE INDEX CONCURRENTLY messages_by_conversation ON messages (conversation_id, created_at);

-- somebody's conversations, latest first
CREATE INDEX CONCURRENTLY conversations_by_user
    ON conversations (user_id, updated_at DESC) WHERE NOT archived;

-- the next run to start
CREATE INDEX CONCURRENTLY agent_runs_queued ON agent_runs (queued_at) WHERE status = 'queued';

-- what an agent did, latest first
CREATE INDEX CONCURRENTLY agent_runs_by_agent ON agent_runs (agent_id, queued_at DESC);

-- a repository's history, and the history of a file
CREATE INDEX CONCURRENTLY commits_by_time ON commits (repository_id, committed_at DESC);
CREATE INDEX CONCURRENTLY commit_files_by_path ON commit_files (path);

-- where a commit was talked about
CREATE INDEX CONCURRENTLY conversation_commits_by_commit ON conversation_commits (commit_id);
