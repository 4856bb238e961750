begin; commit;
commit;