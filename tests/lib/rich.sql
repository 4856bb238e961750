-- Something of every kind of object that pg_dump knows, with names and bodies that are
-- hard to cut.  For dump.bats and the oracles; psql -f fills an empty database with it, and
-- with rich_15.sql behind it on PostgreSQL 15 and later.

CREATE SCHEMA app;
CREATE SCHEMA "odd;schema";
COMMENT ON SCHEMA app IS 'it''s; -- not /* a comment';

CREATE EXTENSION hstore WITH SCHEMA public;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION citext WITH SCHEMA app;
CREATE EXTENSION ltree;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION file_fdw;

-- types
CREATE TYPE app.mood AS ENUM ('sad', 'it''s ok;', 'happy$$');
CREATE TYPE app.pair AS (a integer, "b;" text COLLATE "C");
CREATE TYPE app.span AS RANGE (subtype = numeric, multirange_type_name = app.spans);
CREATE DOMAIN app.positive AS integer DEFAULT 1 CONSTRAINT "not ; zero" CHECK (VALUE > 0);
CREATE DOMAIN app.word AS text NOT NULL CHECK (VALUE ~ '^[^\\;]+$' AND VALUE <> E'\t;');
CREATE COLLATION app.german (provider = icu, locale = 'de-DE');

-- functions
CREATE FUNCTION app.add(a integer, b integer DEFAULT 2) RETURNS integer
    LANGUAGE sql IMMUTABLE BEGIN ATOMIC; SELECT a + CASE WHEN b > 0 THEN b ELSE 0 END; END;
CREATE FUNCTION app.twice(integer) RETURNS integer IMMUTABLE RETURN $1 * 2;
CREATE FUNCTION app.plain("begin" text, OUT "end" text) LANGUAGE plpgsql AS $_$
DECLARE x text := $$;$$;
BEGIN
    /* ; */ "end" := "begin" || x || '\' || $1; -- ;
END $_$;
CREATE PROCEDURE app.act(INOUT n integer) LANGUAGE sql
    BEGIN ATOMIC SELECT n + 1; END;
CREATE PROCEDURE app.act2() LANGUAGE plpgsql AS 'BEGIN PERFORM 1; END;';
CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.note := coalesce(new.note, '') || ';';
    RETURN new;
END;
$$;
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE FUNCTION app.join_state(text, text) RETURNS text IMMUTABLE RETURN concat($1, ';', $2);
CREATE AGGREGATE app.joined(text) (SFUNC = app.join_state, STYPE = text, INITCOND = ''';');
CREATE FUNCTION app.pair_eq(app.pair, app.pair) RETURNS boolean IMMUTABLE
    RETURN ($1).a = ($2).a;
CREATE OPERATOR app.=== (LEFTARG = app.pair, RIGHTARG = app.pair, FUNCTION = app.pair_eq,
    COMMUTATOR = OPERATOR(app.===));
CREATE OPERATOR FAMILY app.pairs USING hash;
CREATE OPERATOR CLASS app.pair_ops FOR TYPE app.pair USING hash FAMILY app.pairs AS
    OPERATOR 1 app.===, FUNCTION 1 hash_record(record);
CREATE FUNCTION app.to_pair(integer) RETURNS app.pair IMMUTABLE RETURN ROW($1, ';')::app.pair;
CREATE CAST (integer AS app.pair) WITH FUNCTION app.to_pair(integer) AS ASSIGNMENT;
CREATE DEFAULT CONVERSION app.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal),
    TO SQL WITH FUNCTION int4recv(internal));

-- tables
CREATE TABLE app.people (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5) PRIMARY KEY,
    nr serial,
    name app.word COLLATE app.german,
    email app.citext UNIQUE,
    mood app.mood DEFAULT 'it''s ok;',
    note text DEFAULT E'a;\n\\.\n''b''' NOT NULL,
    twice integer GENERATED ALWAYS AS (app.twice(nr)) STORED,
    tags public.hstore,
    period daterange,
    "select ""me;""" jsonb,
    bits bytea DEFAULT '\x3b',
    CONSTRAINT "no overlap;" EXCLUDE USING gist (period WITH &&)
);
COMMENT ON TABLE app.people IS $$;'"$$;
COMMENT ON COLUMN app.people."select ""me;""" IS E'tab\tline\n\\.\n;';
CREATE TABLE app.orders (
    id integer NOT NULL,
    person bigint REFERENCES app.people ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    total numeric(10, 2) CHECK (total >= 0),
    made date NOT NULL
) PARTITION BY RANGE (made);
CREATE TABLE app.orders_old PARTITION OF app.orders FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE app.orders_new PARTITION OF app.orders FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
CREATE TABLE "odd;schema"."odd""table;" ("a;b" integer, "größe $$" text);
CREATE TABLE app.child (extra text) INHERITS ("odd;schema"."odd""table;");
CREATE UNLOGGED TABLE app.fast (a integer) WITH (fillfactor = 70);
CREATE TABLE app.typed OF app.pair (a PRIMARY KEY);
CREATE SEQUENCE app.numbers AS smallint CYCLE MAXVALUE 99 OWNED BY app.fast.a;
ALTER TABLE app.fast ALTER a SET DEFAULT nextval('app.numbers');
ALTER TABLE app.people ALTER name SET STATISTICS 50, CLUSTER ON people_pkey;

-- indexes, statistics
CREATE INDEX people_lower ON app.people USING btree (lower(name::text) DESC NULLS LAST)
    INCLUDE (nr) WHERE note <> ';';
CREATE INDEX orders_made ON app.orders (made);
CREATE STATISTICS app.stats (dependencies) ON nr, mood FROM app.people;

-- views, rules, triggers, policies
CREATE VIEW app.happy AS SELECT id AS begin, name AS "end;" FROM app.people
    WHERE mood = 'happy$$' WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW app.numbered (n) AS
    VALUES (1) UNION ALL SELECT n + 1 FROM numbered WHERE n < 10;
CREATE MATERIALIZED VIEW app.totals AS SELECT person, sum(total) FROM app.orders GROUP BY 1;
CREATE UNIQUE INDEX ON app.totals (person);
CREATE RULE "log;it" AS ON INSERT TO app.fast DO ALSO (
    INSERT INTO "odd;schema"."odd""table;" VALUES (new.a, ';'); NOTIFY app;);
CREATE RULE quiet AS ON DELETE TO app.fast DO INSTEAD NOTHING;
CREATE TRIGGER "begin" BEFORE INSERT OR UPDATE OF note ON app.people FOR EACH ROW
    WHEN (new.note IS DISTINCT FROM ';') EXECUTE FUNCTION app.note('a;', '\');
ALTER TABLE app.people DISABLE TRIGGER "begin";
CREATE EVENT TRIGGER seen_ddl ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA')
    EXECUTE FUNCTION app.on_ddl();
ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY "own;" ON app.orders AS RESTRICTIVE FOR SELECT TO PUBLIC
    USING (id > 0 AND 'a;' <> ';');

-- text search, foreign data, publications, privileges, large objects
CREATE TEXT SEARCH DICTIONARY app.simple (TEMPLATE = simple, stopwords = english);
CREATE TEXT SEARCH CONFIGURATION app.search (COPY = german);
ALTER TEXT SEARCH CONFIGURATION app.search ALTER MAPPING FOR word WITH app.simple, german_stem;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h;', dbname 'it''s');
CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'u', password 'p;''');
CREATE FOREIGN TABLE app.lines (line text OPTIONS (force_not_null 'true'))
    SERVER files OPTIONS (filename '/dev/null', format 'csv', delimiter ';');
CREATE PUBLICATION news FOR TABLE app.people, app.typed;
GRANT SELECT (id, name), UPDATE (note) ON app.people TO PUBLIC;
REVOKE EXECUTE ON FUNCTION app.twice(integer) FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC;
SELECT lo_from_bytea(4711, '\x3b275c2e0a');
COMMENT ON LARGE OBJECT 4711 IS 'large;';

-- rows
INSERT INTO app.people (name, email, note, tags, period, "select ""me;""") VALUES
    ('Ünal', 'A@b', E'\\.', 'a=>";"', '[2024-01-01,2024-02-01)', '{"a": "\n;"}'),
    ('Bo', 'c@d', E'line\n\\.\nline', NULL, '[2025-01-01,2025-02-01)', '[]'),
    ('Cy', 'e@f', '$$;''"', 'x=>NULL', NULL, NULL);
INSERT INTO app.orders VALUES (1, 10, 1.50, '2023-05-05'), (2, 15, 2, '2024-05-05');
INSERT INTO "odd;schema"."odd""table;" VALUES (1, ''), (2, NULL), (3, E'\\restrict x\n--;');
INSERT INTO app.typed VALUES (1, 'select 1; /*');
REFRESH MATERIALIZED VIEW app.totals;
