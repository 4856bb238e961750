select 'a'

