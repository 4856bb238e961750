/* rung: allow rename-or-drop it is small */
DROP TABLE a;
