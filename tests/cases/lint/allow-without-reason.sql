-- rung: allow rename-or-drop  
DROP TABLE a;
