"""What tests/bench/bench measured, as Markdown and as a picture.

A ratio is to psql -X -f, which does the same work in the same round.  The floor is the
least that libpq can do (floor.c): where rung misses its target, the floor says how much
of that is rung's own.
"""
import os
from xml.sax.saxutils import escape

MARKS = ('<!-- bench: begin -->', '<!-- bench: end -->')
PEERS = ('dbmate', 'node-pg-migrate', 'alembic', 'sqitch')


def table(head, rows):
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows]
    return '\n'.join(lines) + '\n'


def milliseconds(ms):
    return f'{ms / 1000:.1f} s' if ms >= 10000 else f'{ms:.0f} ms' if ms >= 100 else f'{ms:.1f} ms'


def ratio(row, name):
    tool = row['tools'].get(name)
    return '' if tool is None else f"{tool['ratio']:.2f}"


def best_peer(row):
    peers = [(row['tools'][name]['ratio'], name) for name in PEERS if name in row['tools']]
    return '' if not peers else '{:.2f} ({})'.format(*min(peers))


def rung_of(row):
    return row['tools'].get('rung')


def is_met(row):
    rung = rung_of(row)
    return rung is not None and row['target'] is not None and rung['ratio'] <= row['target']


def verdict(row):
    """Met; or how far the floor of the same run is from the target."""
    if is_met(row):
        return 'yes'
    floor = row['tools'].get('floor')
    return 'no' if floor is None else f"no; the floor is {floor['ratio']:.2f}"


def short_table(results):
    """README's: work, psql, best peer, rung."""
    rows = []
    for row in results['rows']:
        rung = rung_of(row)
        if rung is None:
            continue
        rows.append([row['title'], milliseconds(row['tools']['psql']['ms']), best_peer(row),
                     f"**{rung['ratio']:.2f}**", f"{rung['megabytes']:.0f} MB",
                     str(rung['turns'])])
    return table(['work', 'psql', 'best peer', 'rung', 'its memory', 'its round trips'], rows)


def main_table(results):
    rows = []
    for row in results['rows']:
        rung = rung_of(row)
        if rung is None:
            continue
        rows.append([row['title'], milliseconds(row['tools']['psql']['ms'])]
                    + [ratio(row, name) for name in PEERS]
                    + [ratio(row, 'floor'), f"**{rung['ratio']:.2f}**",
                       f"{row['target']:.2f}", verdict(row), f"{rung['megabytes']:.0f} MB",
                       str(row['tools']['psql']['turns']), str(rung['turns'])])
    return table(['work', 'psql', *PEERS, 'floor', 'rung', 'target', 'met',
                  'memory of rung', 'turns of psql', 'turns of rung'], rows)


def growth_table(results):
    rows = []
    for row in results['growth']:
        rung, psql = rung_of(row), row['tools'].get('psql')
        if rung is None or psql is None:
            continue
        rows.append([row['title'], milliseconds(psql['ms']), milliseconds(rung['ms']),
                     f"{rung['ratio']:.2f}", f"{rung['megabytes']:.0f} MB",
                     str(rung['turns'])])
    return table(['work', 'psql', 'rung', 'ratio', 'memory of rung', 'turns of rung'], rows)


def split_table(results):
    words = {'rows': 'rows as pg_dump --inserts writes them', 'texts': 'long texts',
             'ddl': 'nothing but DDL'}
    return table(['SQL', 'split at'],
                 [[words.get(name, name), f'{speed} MB/s'] for name, speed in results['split']])


# ---- the picture ---------------------------------------------------------------------

def svg(results):
    """A bar for psql (1), the best peer and rung, a row each; longer than 3 is cut."""
    rows = [row for row in results['rows'] if rung_of(row)]
    left, unit, most, step = 300, 130, 3.0, 46
    height = 40 + step * len(rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + int(unit * most) + 130}" '
           f'height="{height}" font-family="sans-serif" font-size="12">',
           '<title>Time as a ratio to psql; shorter is better</title>',
           f'<rect width="100%" height="{height}" fill="#fff"/>',
           f'<text x="{left}" y="18" fill="#555">time as a ratio to psql (the line); shorter '
           'is better</text>']
    for i, row in enumerate(rows):
        top = 30 + i * step
        out.append(f'<text x="{left - 8}" y="{top + 20}" text-anchor="end">'
                   f'{escape(row["title"])}</text>')
        peers = [(row['tools'][name]['ratio'], name) for name in PEERS if name in row['tools']]
        bars = [('rung', rung_of(row)['ratio'], '#2a7', 'bold')]
        if peers:
            bars.append((min(peers)[1], min(peers)[0], '#bbb', 'normal'))
        for j, (name, value, color, weight) in enumerate(bars):
            width = min(value, most) * unit
            more = '' if value <= most else ' →'
            out.append(f'<rect x="{left}" y="{top + j * 17}" width="{width:.1f}" height="14" '
                       f'fill="{color}"/>')
            out.append(f'<text x="{left + width + 5:.1f}" y="{top + j * 17 + 12}" '
                       f'font-weight="{weight}">{escape(name)} {value:.2f}{more}</text>')
    out.append(f'<line x1="{left + unit}" y1="26" x2="{left + unit}" y2="{height - 6}" '
               'stroke="#c33" stroke-dasharray="4 3"/>')
    return '\n'.join(out + ['</svg>', ''])


# ---- the page ------------------------------------------------------------------------

# What rung's own share buys, where that is more than a little.
NOTES = {
    'nothing-1000': 'The floor hashes them as well; beyond it rung judges each name, and '
                    'compares each file with its row.',
    'status': 'The floor hashes nothing, as its target row allows; status says "edited", '
              'which takes every byte: with hashing the floor is that of the row below.',
    'apply': 'The server works: a file of rung\'s begins with a session that is as new '
             '(RESET ALL, DISCARD, our settings) and ends with what its row promises, some '
             '25 short statements in the same Query, 0.2 ms of the server\'s time.',
    'inserts': 'psql waits for each of its statements; the server\'s own work on them is '
               'what is left.',
    'copy': 'The file is read twice: judged and hashed before anything runs, hashed again '
            'while it is sent, so that what is recorded is what ran.',
    'fleet': 'Each of the databases is new: rung looks for a ledger, here and elsewhere, and '
             'makes it under the lock, some 3 ms in a new backend without caches, while the '
             'floor finds it there; then 20 files with 0.2 ms each as above.',
}


def explanations(results):
    """For each row that misses: what the floor of the same run says."""
    lines = []
    for row in results['rows']:
        rung, floor = rung_of(row), row['tools'].get('floor')
        if rung is None or is_met(row) or floor is None:
            continue
        own = rung['ms'] - floor['ms']
        lines.append(f"- **{row['title']}**: {rung['ratio']:.2f} instead of {row['target']:.2f}. "
                     f"psql takes {milliseconds(row['tools']['psql']['ms'])}, the floor "
                     f"{milliseconds(floor['ms'])} ({floor['ratio']:.2f}), rung "
                     f"{milliseconds(rung['ms'])}: {milliseconds(max(own, 0))} are rung's own"
                     + (', and the target lies below the floor of this machine.'
                        if floor['ratio'] > row['target'] else '.')
                     + (' ' + NOTES[row['key']] if row['key'] in NOTES else ''))
    return '\n'.join(lines) if lines else 'None: every row reaches its target.'


def page(results):
    facts = results['facts']
    return f"""# Performance

Written by `make bench` ({'a quick run, no measurement' if facts['quick'] else facts['date']}):
{facts['server']} and {', '.join(facts['versions'])}, on {facts['processors']} processors ({facts['cpu']},
Linux {facts['kernel']}, load {facts['load']:.1f} at the beginning). Everybody did the same work in turn, {facts['rounds']} rounds; a ratio
is the median of the rounds' ratios to `psql -X -f` (psql itself, not Debian's wrapper), which did that work in the same round.
Round trips ("turns": waits for the server, those of the connection included) and memory (the most that was resident) are
counted by tests/bench/link.c; the floor is the least that libpq can do, tests/bench/floor.c: it trusts its files, keeps no
lock, judges nothing.

![Time as a ratio to psql](performance.svg)

{main_table(results)}
## What misses its target, and why

{explanations(results)}

## How it grows

{growth_table(results)}
## How fast SQL is split

On one core, in memory (`make bench-split`):

{split_table(results)}
## How the numbers are reached

- While the directory is read and hashed the connection is made, and one query brings the ledger. Nothing pending ends it.
- A small file is one Query with its BEGIN, its row and its COMMIT. Where the line is slow, several files share one, each still a
  transaction of its own: as many as keep the server busy for a few round trips, one where files are slow (step.c: adapt_pack).
- A large file travels in Queries of about 128 KiB inside its transaction; COPY data is streamed. Never more than a window of it is
  in memory. It is read twice: judged and hashed first, hashed again while it is sent; both must agree before COMMIT.
- What cannot flake is a test: round trips, reads, descriptors and memory are counted in tests/cli/cost.bats.
"""


def write_all(repo, results):
    with open(os.path.join(repo, 'docs', 'performance.md'), 'w', encoding='utf-8') as file:
        file.write(page(results))
    with open(os.path.join(repo, 'docs', 'performance.svg'), 'w', encoding='utf-8') as file:
        file.write(svg(results))
    path = os.path.join(repo, 'README.md')
    with open(path, encoding='utf-8') as file:
        text = file.read()
    before, rest = text.split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'{before}{MARKS[0]}\n{short_table(results)}{MARKS[1]}{after}')
