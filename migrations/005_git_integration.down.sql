DROP TABLE conversation_commits;
DROP TABLE commit_files;
DROP TABLE commits;
DROP TABLE repositories;
