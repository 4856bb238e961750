-- What this file does.
-- rung: allow rename-or-drop the old release is gone
-- more about it
DROP TABLE a;
DROP TABLE b;
-- rung: allow index-without-concurrently another rule
DROP TABLE c;
-- rung: allow rename-or-drop nobody reads d
-- rung: allow update-or-delete-without-where it is small
WITH x AS (DELETE FROM d RETURNING *) UPDATE e SET n = 1;

/* a comment in between */

DROP TABLE d;
DROP TABLE f; -- rung: allow rename-or-drop it was never used
DROP TABLE g;
ALTER TABLE h
    -- rung: allow set-not-null h has ten rows
    ALTER a SET NOT NULL,
    ALTER b SET NOT NULL, -- rung: allow alter-column-type varchar to text
    ALTER c TYPE text;

--   RUNG:  allow   rename-or-drop   as above

DROP TABLE i; /* here */ -- rung: allow rename-or-drop twice does no harm
DROP TABLE j
