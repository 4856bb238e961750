-- What the generated files find in their database.
CREATE TABLE t (a text, atomic text, begin text, b$c$ text, "q;" text, flag text, größe text);
CREATE TABLE u (a text, "q;" text);
CREATE FUNCTION f(text, text) RETURNS text LANGUAGE sql AS $$ SELECT $1 || $2 $$;
CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE DOMAIN begin AS text;
