#!/bin/bash -p
''':' # To Python, this is a string up to the last line.
# The start of `croze` where scripts/quick_start.py could put it in front of that in Python, whose
# interpreter takes as long to start as many a build takes. It asks the user's warm process to run the
# command, and passes on signals and the exit code. Whatever it can't do, and what is in doubt, is left
# to the start in Python. What it says to the warm process: src/croze/cli/warm/slots.py.
#
# No other program runs, and bash heeds nothing of the environment (-p). What is set here ends with
# it: Python finds what this process found. (`command exec`: by itself, `exec` ends a POSIX shell if it
# fails.)

# ask DIRECTORY ARGUMENTS: ask the warm process with that directory to run a command with so many
# arguments. Returns if it doesn't.
ask() {
    local try slot both warm line= late=0
    # A sandbox that shows in nothing else keeps us from looking at it.
    read -r warm <"$1/pid" && [[ /proc/$warm/ns/mnt -ef /proc/self/ns/mnt ]] || return
    for ((try = 0; ; try++)); do
        ((try < 8)) || return
        slot=$((($$ + try) % @SLOTS@))
        # Opening it for both never waits; and reading ends if only a dead process has had it open.
        command exec {both}<>"$1/$slot" || return
        command exec {answers}<"/proc/self/fd/$both" {both}>&- || return
        true >"$1/$slot.taken" && break
        command exec {answers}<&-
    done
    echo "$slot $$ $2 $answers $in $out $err" 1<>"$1/ask"
    until hear 2; do
        # At the end there is nobody, or nobody who runs it. Else the warm process may have been stopped;
        # if it goes on too late, it finds that the command has begun here. In a slot that is another's
        # by now that says nothing: our command is over, or nobody runs it.
        if (($? <= 128)) || { ((late++)) && true >"$1/$slot.begun" &&
            [[ $1/$slot -ef /proc/self/fd/$answers ]]; }; then
            command exec {answers}<&-
            return
        fi
        kill -s CONT "$warm"
    done
    runner=${line#A }
    # Signals go there; and to all processes, were it -1.
    [[ $runner && $runner != *[!0-9]* ]] && relay
    command exec {answers}<&-
}

# hear SECONDS: add to `line` what comes up to the end of one. What has come of it when the time is
# over, or a signal comes, is kept.
hear() {
    local part status
    IFS= read -r -t "$1" -u "$answers" part
    status=$?
    line+=$part
    return "$status"
}

# relay: pass signals on to the process that runs the command until the exit code comes.
relay() {
    local signal line= passed= ended=0
    set -o posix # `read` is interrupted by signals that are trapped
    for signal in INT TERM HUP QUIT WINCH; do
        trap "pass $signal" "$signal"
    done
    trap stop TSTP
    until hear 1; do
        # Somebody else may have what it answered by, when it has ended; it may have just told.
        (($? > 128)) && { [[ -e /proc/$runner ]] || ((!ended++)); } && continue
        [[ $passed ]] && exit $((128 + $(kill -l "$passed")))
        echo "croze: the process that ran this command ended early" >&"$err"
        exit 1
    done
    exit "${line#X }"
}

pass() {
    kill -s "$1" "$runner"
    [[ $1 = WINCH ]] || passed=$1
}

# stop: stop as the shell expects it, until that lets us go on; and before that the process, which the
# kernel lets go on if we are killed (src/croze/cli/warm/stopping.py).
stop() {
    kill -s STOP "$runner"
    trap - TSTP
    kill -s TSTP $$
    trap stop TSTP
    kill -s CONT "$runner"
}

# directories: where the warm processes of this user have theirs, in `folders`.
directories() {
    local place places=("$XDG_RUNTIME_DIR/croze" "/run/user/$EUID/croze" "$HOME/.local/state/croze/run")
    ((EUID)) || places=(/run/croze)
    [[ -z $CROZE_RUNTIME_DIR ]] || places=("$CROZE_RUNTIME_DIR")
    for place in "${places[@]}"; do
        [[ -O $place && ! -L $place ]] && folders+=("$place"/warm-*.@NAME@)
    done
}

# The version is told at once (see `croze.version.tell_if_asked`), unless it has changed since.
case $#:$* in
    1:version | 1:--version | 2:"buildx version")
        case ${0##*/} in
            buildctl*) text= ;;
            docker-buildx | buildx) text=@PLUGIN@ ;;
            *) text=@TEXT@ ;;
        esac
        [[ $text && ! @VERSION@ -nt $0 ]] && echo "$text" 2>/dev/null && exit
        ;;
esac
# If standard error is closed, bash has the script there.
[[ /proc/self/fd/2 -ef $0 ]] && exec 2>&-
# A directory is nothing to read from; Python would not start with it.
[[ -d /proc/self/fd/0 ]] && exec <&-
folders=()
[[ ${CROZE_NO_WARM:-0} != 0 || ${0##*/} = buildctl* ]] || directories
if [[ ${folders[*]} && -e /proc/self/fd/0 && -e /proc/self/fd/1 && -e /proc/self/fd/2 ]]; then
    set -C      # who makes a file first has it
    trap : QUIT # bash ignores it, which would be taken for a wish
    if command exec {in}<&0 {out}>&1 {err}>&2 2>/dev/null; then
        for folder in "${folders[@]}"; do
            [[ -p $folder/ask && -O $folder/ask ]] && ask "$folder" $#
        done
        command exec {in}<&- {out}>&- 2>&"$err" {err}>&-
    fi
fi
exec @PYTHON@ -SI "$0" "$@"
'''
