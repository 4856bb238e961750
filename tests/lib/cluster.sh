# shellcheck shell=bash
# tests/lib/cluster.sh: a throwaway PostgreSQL cluster in a directory of its own.
#
#     . tests/lib/cluster.sh
#     cluster_dir=$(cluster_make_dir)        # private to us and to the server's user
#     trap 'cluster_stop "$cluster_dir"' EXIT
#     cluster_start "$cluster_dir"           # PGHOST, PGPORT and PGUSER point there now
#
# It listens on a Unix socket only, trusts whoever can reach it, and forgets everything:
# fsync is off.  initdb refuses to run as root, so root hands the cluster to `postgres`,
# or to `nobody` where there is no such user.

# Print the directory of the newest server's programs; fail when there is none.
#
# /usr/lib/postgresql (Debian) comes first: psql there is the program itself, while
# Debian's /usr/bin/psql is a wrapper that picks a cluster, and what PATH finds may be of
# another version.  PG_BINDIR overrides.
cluster_bindir() {
    local dir
    while read -r dir; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ] && [ -x "$dir/psql" ]; then
            printf '%s\n' "$dir"
            return 0
        fi
    done < <(
        printf '%s\n' "${PG_BINDIR-}"
        printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -rV
        pg_config --bindir 2>/dev/null
        dirname -- "$(command -v initdb)" 2>/dev/null
    )
    echo 'no PostgreSQL server found: run scripts/setup, or set PG_BINDIR' >&2
    return 1
}

# Print the user that the server runs as; nothing when that is us.
cluster_user() {
    [ "$(id -u)" -eq 0 ] || return 0
    if id -u postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

# Run a command as the server's user.
cluster_as_user() {
    local user
    user=$(cluster_user)
    if [ -z "$user" ]; then
        "$@"
    elif command -v setpriv >/dev/null; then
        setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
    else
        # shellcheck disable=SC2016 # that shell expands it
        su -s /bin/sh "$user" -c 'exec "$0" "$@"' -- "$@"
    fi
}

# Is there room for a cluster, and more, in memory?  Most of what a test costs on a disk is
# making and deleting the three hundred files of its database.
cluster_memory() {
    [ -w /dev/shm ] && ! grep -q '^[^ ]* /dev/shm .*noexec' /proc/mounts &&
        [ "$(df -Pm /dev/shm | awk 'NR == 2 { print $4 }')" -ge 2048 ] && echo /dev/shm
} 2>/dev/null

# Make and print a temporary directory that the server's user can reach, and whose path
# is short enough for a socket (the limit is 107 bytes): in $TMPDIR when it will do, else
# in memory where there is room, else in /tmp.
cluster_make_dir() {
    local base dir
    for base in "${TMPDIR:-$(cluster_memory)}" /tmp; do
        [ -n "$base" ] || continue
        dir=$(mktemp -d "${base%/}/rung-pg.XXXXXX") || continue
        [ -z "$(cluster_user)" ] || chown "$(cluster_user)" "$dir"
        if [ ${#dir} -lt 80 ] && (cd / && cluster_as_user test -w "$dir") 2>/dev/null; then
            printf '%s\n' "$dir"
            return 0
        fi
        rmdir "$dir"
    done
    echo 'no temporary directory that the server can use' >&2
    return 1
}

# Start a cluster in DIR; further arguments are server settings (work_mem=1MB).
# Exports PGHOST, PGPORT, PGUSER (a superuser) and PG_BINDIR.
cluster_start() {
    local dir=$1 setting options
    shift
    PG_BINDIR=$(cluster_bindir) || return 1
    options="-c listen_addresses='' -c unix_socket_directories='$dir' -c fsync=off"
    options+=" -c max_connections=200 -c full_page_writes=off -c max_wal_size=128MB"
    for setting; do options+=" -c '$setting'"; done

    # Not from our directory, which the server's user may not enter; and into files,
    # because the server would keep a pipe of ours open.
    (
        cd / || exit 1
        cluster_as_user env LC_ALL=C "$PG_BINDIR/initdb" -D "$dir/data" -U postgres \
            -A trust -E UTF8 --locale=C --no-sync &&
            cluster_as_user "$PG_BINDIR/pg_ctl" -D "$dir/data" -l "$dir/server.log" \
                -p "${CLUSTER_POSTGRES:-$PG_BINDIR/postgres}" -o "$options" -w -t 120 start
    ) >"$dir.start" 2>&1 </dev/null || {
        cat "$dir.start" "$dir/server.log" >&2
        rm -f "$dir.start"
        return 1
    }
    rm -f "$dir.start"
    export PG_BINDIR PGHOST=$dir PGPORT=5432 PGUSER=postgres
}

# Build in DIR a server that also offers the extension whose files are in the directory
# EXTENSION, and print the path of its `postgres`; cluster_start runs that one when
# CLUSTER_POSTGRES names it.  No file of the system's is touched: a server looks for its
# own files relative to where it was started, so a copy of the program among links will do.
cluster_with_extension() {
    local dir=$1 extension=$2 bin share lib
    PG_BINDIR=$(cluster_bindir) || return 1
    bin=$PG_BINDIR
    share=$("$bin/pg_config" --sharedir) && lib=$("$bin/pg_config" --pkglibdir) || return 1
    mkdir -p "$dir$bin" "$dir$share" "$dir${lib%/*}" &&
        cp -- "$bin/postgres" "$dir$bin/postgres" &&
        ln -s -- "$lib" "$dir$lib" &&
        find "${lib%/*}" -maxdepth 1 -name '*.so*' -exec ln -s -t "$dir${lib%/*}" -- {} + &&
        cp -rs -- "$share/." "$dir$share/" &&
        cp -f -- "$extension"/* "$dir$share/extension/" &&
        chmod -R a+rX "$dir" &&
        printf '%s\n' "$dir$bin/postgres"
}

# Stop the cluster in DIR, if one runs there, and delete the directory.
cluster_stop() {
    local dir=$1
    [ -d "$dir" ] || return 0
    if [ -f "$dir/data/postmaster.pid" ]; then
        (
            cd / || exit 1
            cluster_as_user "$(cluster_bindir)/pg_ctl" -D "$dir/data" -m immediate -w \
                -t 60 stop
        ) >/dev/null 2>&1 </dev/null
    fi
    rm -rf -- "$dir" "$dir.start"
}
