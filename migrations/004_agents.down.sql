DROP TABLE agent_steps;
DROP TABLE agent_runs;
DROP TABLE agents;
DROP TYPE agent_run_status;
