#!/bin/sh
# Run this case with one OCI runtime, in a private copy, and leave nothing behind.
#
#   ./run.sh RUNTIME                  print what was said, end with the runtime's exit code
#   ./run.sh --check RUNTIME          say "reproduced" (exit code 0) or "not reproduced" (1)
#   ./run.sh --output DIR RUNTIME     keep in DIR what every call said
#
# RUNTIME is the path of a binary. Needs Linux, root, and sh, coreutils, sed, grep, util-linux
# (unshare, mount, setpriv), tar where there is a rootfs.tar. All mounts are made in a mount
# namespace of their own. Exit code 2: wrong use; 3: this host cannot run it.
set -eu

# What is special to this case.
action=@ACTION@
seconds=@SECONDS@
mask=@UMASK@
owner=@OWNER@
as_caller() { @AS@"$@"; }
runtime() { as_caller @ENV@"$binary" --root "$work/state" @FLAGS@"$@"; }
begin() { runtime "$1" --bundle "$work" --pid-file "$work/pid" @VERB_FLAGS@"$id" @STREAMS@; }
execute() { runtime exec @EXEC@; }
host_mounts() { @HOST_MOUNTS@; }
prepare() { @PREPARE@; }
keep() { @KEEP@; }
look() { @LOOK@; }

fail() { echo "run.sh: $*" >&2; exit 3; }
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

check='' output=''
while [ $# -gt 0 ]; do
    case $1 in
        --check) check=yes; shift ;;
        --output) [ $# -gt 1 ] || usage; output=$2; shift 2 ;;
        -*) usage ;;
        *) break ;;
    esac
done
[ $# -eq 1 ] || usage
[ "$(id -u)" -eq 0 ] || fail 'needs root'
binary=$(command -v -- "$1") || fail "no program: $1"
case $binary in /*) ;; *) binary=$PWD/$binary ;; esac
here=$(cd "$(dirname "$0")" && pwd)
if [ "${REPRO_NAMESPACE:-}" != private ]; then
    if [ -n "$output" ]; then mkdir -p "$output"; output=$(cd "$output" && pwd); fi
    exec env REPRO_NAMESPACE=private unshare --mount --propagation private -- \
        sh "$here/run.sh" ${check:+--check} ${output:+--output "$output"} "$binary"
fi
unset REPRO_NAMESPACE
umask 022

hierarchies() {
    while read -r _ _ _ _ place rest; do
        case " $rest" in *' - cgroup '* | *' - cgroup2 '*) echo "$place" ;; esac
    done </proc/self/mountinfo
}

id=repro-$$
group=${REPRO_GROUP:-repro-group-$$} # who may kill this names the cgroup, to find it again
work=$(mktemp -d)
leave() {
    trap - EXIT INT TERM
    if [ -e "$work/made" ]; then runtime delete --force "$id" >/dev/null 2>&1 || true; fi
    for place in $(hierarchies); do
        rmdir "$place/$group/c" "$place/$group" 2>/dev/null || true
    done
    cd /
    umount -l "$work" 2>/dev/null || true
    rmdir "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM

# A private place. Without its empty v2 tree a hybrid cgroup host looks as crun wants it (v1 only).
mount -t tmpfs -o mode=0755 repro "$work" || fail 'cannot mount (CAP_SYS_ADMIN is needed)'
for place in $(hierarchies); do
    if [ "$place" = /sys/fs/cgroup/unified ]; then
        umount -l "$place"
        mount -t tmpfs -o mode=0755 repro "$place"
    else
        mkdir "$place/$group" 2>/dev/null || true
    fi
done
mkdir "$work/out" "$work/state"
chown "$owner" "$work" "$work/state"
if [ -e "$here/rootfs.tar" ]; then
    tar -C "$work" --numeric-owner --xattrs --xattrs-include='*' -xpf "$here/rootfs.tar"
else
    sh "$here/make-rootfs.sh" "$work"
fi
for name in config.json process.json; do
    [ -e "$here/$name" ] || continue
    # what differs from run to run: the cgroup's name and the host paths of what is bound
    sed -e "s|\${cgroup}|/$group/c|g" -e "s|\${fixture:\([^}]*\)}|$work/fixtures/\1/data|g" \
        "$here/$name" >"$work/$name"
done
host_mounts
prepare

# Calls. The runtime gets pipes as its streams, as a container engine gives it.
piped() {
    name=$1
    shift
    {
        { { code=0; "$@" 3>&- || code=$?; echo "$code" >"$work/out/$name.code"; } 2>&1 >&3 |
            timeout "$seconds" cat >"$work/out/$name.stderr"; } 3>&1
    } | timeout "$seconds" cat >"$work/out/$name.stdout"
}
call() { (umask "$mask"; "$@"); }
make() {
    code=0
    call begin create || code=$?
    echo "$code" >"$work/out/create.code"
    [ "$code" -eq 0 ] || return "$code"
    : | piped start call runtime start "$id"
    return "$(cat "$work/out/start.code")"
}
ended() { [ -e "$work/ended" ]; }
holds() { grep -q '"hold"' "$work/out/container.stdout" 2>/dev/null; }

touch "$work/made"
case $action in
    run) : | piped run call begin run ;;
    create-start) : | piped container make ;;
    exec)
        { : | piped container make; touch "$work/ended"; } &
        tries=0
        until holds || ended; do
            tries=$((tries + 1))
            [ "$tries" -lt $((seconds * 10)) ] || break
            sleep 0.1
        done
        if holds; then : | piped exec call execute; fi
        runtime delete --force "$id" >/dev/null 2>&1 || true
        wait
        ;;
esac
keep
[ ! -e "$work/pid" ] || cp "$work/pid" "$work/out/pid"
(cd "$work" && look) >"$work/out/host"

# What was said, in one text without what differs from run to run.
shown() { [ ! -s "$1" ] || cat "$1"; }
stamp='[0-9]\{4\}-[0-9][0-9]-[0-9][0-9]T[0-9:.]*\(Z\|[+-][0-9:]*\)'
constant() {
    sed -e "s#$work#DIR#g" -e "s#$id#ID#g" -e "s#$stamp#TIME#g" -e "s#$binary#RUNTIME#g" \
        -e 's/^{"step":0,"op":"start",.*\("ruid":.*"umask":"[0-7]*"\).*/{"step":0,"op":"start",\1}/' \
        -e '/"op":"fdstat"/s/,"size":[0-9]*//' -e 's/,"\(dev\|inode\|pid\|st_dev\)":\("[^"]*"\|[0-9]*\)//g'
}
transcript() {
    for name in create container start run exec; do
        [ -e "$work/out/$name.stderr" ] || [ -e "$work/out/$name.code" ] || continue
        case $name in container) ;; *) echo "$name: exit code $(cat "$work/out/$name.code")" ;; esac
        shown "$work/out/$name.stderr"
        shown "$work/out/$name.stdout"
    done | constant
    sed 's/|[0-9]*$//' "$work/out/host"
}
transcript >"$work/out/text"
if [ -n "$output" ]; then cp -R "$work/out/." "$output/"; fi

if [ -n "$check" ]; then
    if diff "$here/expected.txt" "$work/out/text" >"$work/out/diff"; then
        echo reproduced
        exit 0
    fi
    echo 'not reproduced (< expected, > found):'
    cat "$work/out/diff"
    exit 1
fi
for name in create container start run exec; do
    [ ! -e "$work/out/$name.stderr" ] || cat "$work/out/$name.stderr" >&2
    [ ! -e "$work/out/$name.stdout" ] || cat "$work/out/$name.stdout"
done
for name in create start run exec; do
    [ ! -e "$work/out/$name.code" ] || code=$(cat "$work/out/$name.code")
    [ "${code:-0}" -eq 0 ] || exit "$code"
done
