-- rung: no-transaction

DROP INDEX CONCURRENTLY conversation_commits_by_commit;
DROP INDEX CONCURRENTLY commit_files_by_path;
DROP INDEX CONCURRENTLY commits_by_time;
DROP INDEX CONCURRENTLY agent_runs_by_agent;
DROP INDEX CONCURRENTLY agent_runs_queued;
DROP INDEX CONCURRENTLY conversations_by_user;
DROP INDEX CONCURRENTLY messages_by_conversation;
