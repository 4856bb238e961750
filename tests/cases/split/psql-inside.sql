select 1 \gset
