start transaction;
select 1;
end;