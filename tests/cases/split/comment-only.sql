-- nothing here
/* nor here */ -- and none at the end