DROP TABLE model_configurations;
DROP TABLE system_settings;
DROP TABLE users;
