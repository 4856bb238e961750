CREATE INDEX a ON t (n);
CREATE UNIQUE INDEX ON public.t USING btree (n);
  create index if not exists b on only_t (n);
CREATE INDEX CONCURRENTLY_no ON t (n);
CREATE INDEX ON ONLY parent (n); -- of a partitioned table: builds nothing
CREATE INDEX "on" ON "T t" (n);
REINDEX TABLE t;
REINDEX (VERBOSE) INDEX a;
COMMENT ON INDEX a IS 'CREATE INDEX c ON t (n)';
ALTER INDEX a RENAME TO b;
DROP INDEX a;
ALTER INDEX parent_i ATTACH PARTITION a;
