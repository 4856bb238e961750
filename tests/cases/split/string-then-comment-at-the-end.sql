select 'a'
-- bye