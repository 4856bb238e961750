-- What rich.sql cannot hold because PostgreSQL 14 does not know it.

CREATE PUBLICATION some_rows FOR TABLE app.people (id, name) WHERE (id > 0), app.typed;
CREATE PUBLICATION schemas FOR TABLES IN SCHEMA "odd;schema";
