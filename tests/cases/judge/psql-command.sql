\connect x
