\restrict a \! ls
