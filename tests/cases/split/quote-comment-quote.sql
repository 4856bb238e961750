select 'a'/*'*/,'b;'--'
,'c;';select 2;