#!/usr/bin/env python3
"""Write files of SQL that are hard to cut, the same ones for the same seed.

    generate.py SEED COUNT DIRECTORY

Most of them run in a database that holds prelude.sql; one in twenty is broken on
purpose.  What they are made of is what splitters stumble over: quotes of every kind,
comments, words that open bodies elsewhere, COPY data that looks like SQL.
"""
import os
import random
import sys

R = random.Random(int(sys.argv[1]))
serial = 0


def one(*choices):
    choice = R.choice(choices)
    return choice() if callable(choice) else choice


def some(make, least, most):
    return [make() for _ in range(R.randint(least, most))]


def ws():
    return one(' ', '\n', '\t', '\r\n', ' -- c; \' "$$\n', '/* ; \' */', '/* /* ; */ */',
               ' \f', ' ', '  ', ' -- /*\n', '/**/', '/*--*/', ' -- \u00fc;\n', '/*/**/*/')


def fresh(prefix):
    global serial
    serial += 1
    return one('%s%d', '%s$%d', '"%s;%d"', '"%s""%d"', 'gr\u00f6\u00dfe_%s%d', '"-- %s%d"',
               '"/*%s%d"', 'end_%s%d', '"\'%s%d"', 'U&"%s\\003b%d"') % (prefix, serial)


def text():
    """A constant of type text, or that becomes one."""
    if R.random() < .01:
        return "'x' -- ;'\n ';y'"
    return one("'a;b'", "'it''s'", "''", "E'\\';'", "E'\\\\'", "e'a'\n'b;\\''",
               "U&'d\\0061;'", "cast(B'10' as text)",
               "cast(X'1F' as text)", "N'a;'", "$$;$$", "$t$ ; $$ ' $t$",
               "$\u00e9$;$e$;$\u00e9$", "cast(1 as text)", "cast(1.5 as text)",
               "cast(.5 as text)", "cast(1e-5 as text)", "cast(1. as text)", "'\\'",
               "$a$'$b$;$a$", "'--'", "'/*'", "'$$'", "cast(- -1 as text)",
               "cast(1+/* ; */-2 as text)", "cast(2*-3--;\n as text)",
               "cast((array[1,2])[1:1] as text)", "'a'::text", "U&'!0061;' uescape '!'",
               "cast(5/+1 as text)", "E'\\\\'';'", "'\n;\n'", "$_$\\$_$")


def column():
    return one('a', 'atomic', 'begin', 'b$c$', '"q;"', 'flag', '"gr\u00f6\u00dfe"', 't.a',
               't."q;"')


def expr(depth=0, columns=True):
    more = lambda: expr(depth + 1, columns)
    dice = R.random()
    if depth > 3 or dice < .4:
        return one(text, column) if columns else text()
    if dice < .55:
        return '(' + ws() + more() + ws() + ')'
    if dice < .7:
        return more() + ws() + '||' + ws() + more()
    if dice < .8:
        return ('case when' + ws() + more() + ws() + one('=', '<>', '<', '>=', '~~') + ws()
                + more() + ws() + 'then' + ws() + more() + ws() + 'end')
    if dice < .9:
        return 'f(' + more() + ',' + ws() + more() + ')'
    return '(select' + ws() + more() + ws() + ')'


def select():
    return ('select' + ws() + expr() + one('', ' as "a;"', ' as end', ' begin', ' atomic')
            + ',' + ws() + expr() + ws() + 'from t' + one('', ' where' + ws() + expr()
                                                         + ' = ' + expr()))


def query():
    return one(lambda: 'select' + ws() + expr(0, False), lambda: '(' + select() + ')',
               select, lambda: 'values (' + expr(0, False) + ')', 'table t',
               lambda: 'with x as (' + select() + ') select 1 from x')


def insert():
    return ('insert into t (a, "q;") values (' + expr(0, False) + ',' + ws()
            + expr(0, False) + ')')


def body(last):
    parts = some(lambda: one(select, insert, ''), 0, 3) + [last]
    return ('begin' + ws() + 'atomic' + ws()
            + ''.join(part + ws() + ';' + ws() for part in parts) + one('end', 'END'))


def head():
    return one('create', 'CREATE or' + ws() + 'replace') + ws()


def function():
    name = fresh('f')
    args = '(x text, "b;" text' + one('', ', begin text', ', atomic int') + ')'
    return (head() + 'function ' + name + args + ws() + 'returns text' + ws()
            + one(lambda: body('select ' + expr(0, False)),
                  lambda: body('select ' + expr(0, False)),
                  lambda: 'return' + ws() + expr(0, False),
                  lambda: 'language sql as' + ws()
                  + one("$$ select 'a;' $$", "'select ''a;'''", "$b$ select $$;$$; $b$"),
                  lambda: 'language plpgsql as' + ws()
                  + one("$$ begin return 'a;'; end; $$",
                        "$x$ begin /* $$ */ return x; end $x$")))


def procedure():
    return (head() + 'procedure ' + fresh('p') + '(' + one('', 'begin text') + ')' + ws()
            + one(lambda: body(insert()), lambda: body(''),
                  "language plpgsql as $$ begin null; end $$"))


def rule():
    return ('create rule ' + fresh('r') + ' as on insert to u do also ('
            + '; '.join(some(insert, 1, 3)) + one('', ';') + ')')


def do():
    return 'do' + ws() + one("$$ begin perform 1; end $$",
                             "$a$ begin execute $$select 1;$$; end; $a$",
                             "'begin null; end;'", "language plpgsql E'begin\\nnull;end'")


def other():
    return one(lambda: 'create table ' + fresh('t') + ' (a int default 1, "b;" text)',
               lambda: 'create view ' + fresh('v') + ' as select' + ws() + expr(0, False)
               + ' as end',
               "set x.a = 'b;'", "set search_path = public", 'reset x.a',
               'comment on table t is $$;$$', "comment on table t is E'it\\'s;'",
               lambda: 'create trigger ' + fresh('begin')
               + ' before insert on u for each row execute function g()',
               'savepoint atomic', 'begin', 'commit', 'end',
               'create index concurrently i on t (a)', 'vacuum',
               lambda: 'create function ' + fresh('f')
               + "(atomic begin) returns begin language sql as $$select 'a;'$$",
               lambda: 'create function ' + fresh('begin')
               + '(atomic int) returns int return atomic',
               lambda: 'create function ' + fresh('f')
               + "(begin text) returns text language sql as $$select 'a;'$$",
               lambda: 'create type ' + fresh('e') + " as enum ('a;', 'b''')",
               'delete from t where a = $$;$$', "update t set a = 'b;' where begin = 'x'")


def copy():
    lines = some(lambda: one('x', "';", '$$', '\\\\.', '/*', '-- ;', 'select 1;', '\\N',
                             '\u00fc', ''), 0, 4)
    return ('copy t (a) from stdin' + one('', ' with (format csv, header)', ' csv') + ';'
            + one('\n', ' \n', '\r\n', ' -- c\n') + ''.join(line + '\n' for line in lines)
            + one('\\.\n', '\\.\r\n'))


def strings():
    """A stretch where a backslash escapes."""
    return ("\nset standard_conforming_strings = off;\nset escape_string_warning = off;\n"
            "select 'it\\'s;', '\\\\';\nset standard_conforming_strings = on;\n")


def statement():
    return ws() + one(query, query, query, insert, function, function, procedure, rule, do,
                      other) + one('', ws) + one(';', ';', ';', ';;', ';' + ws() + ';')


def broken():
    return one("select 'a;", 'select "a;', 'select (1;', '/* ; /* */', "select $x$;$y$;",
               'create function f() returns int begin atomic select 1;', "select E'\\';",
               'select 1 frm t;', 'select 1);', "select b'1';'")


def file():
    global serial
    serial = 0
    parts = some(statement, 1, 7)
    if R.random() < .1:
        parts.insert(R.randint(0, len(parts)), '\n' + copy())
    if R.random() < .03:
        parts.insert(R.randint(0, len(parts)), strings())
    if R.random() < .05:
        parts.insert(0, '\\restrict x\n')
    if R.random() < .05:
        parts.append(ws() + broken())
    elif R.random() < .3:
        parts.append(ws() + query())
    mark = '\ufeff' if R.random() < .05 else ''
    return mark + ''.join(parts) + one('', '\n', ' -- end', '/* end */')


os.makedirs(sys.argv[3], exist_ok=True)
for number in range(int(sys.argv[2])):
    with open('%s/%05d.sql' % (sys.argv[3], number), 'w', newline='') as out:
        out.write(file())
