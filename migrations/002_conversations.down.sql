DROP TABLE messages;
DROP FUNCTION count_message();
DROP TABLE conversation_statistics;
DROP TABLE conversations;

DROP TRIGGER model_configurations_updated_at ON model_configurations;
DROP TRIGGER system_settings_updated_at ON system_settings;
DROP TRIGGER users_updated_at ON users;
DROP FUNCTION set_updated_at();
