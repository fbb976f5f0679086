"""`croze completion SHELL`: what a shell has to be told so that it completes command lines.

The scripts ask the command itself (`croze.cli.complete`): nothing in them is of one version.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.flags import Flags, UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze completion"
CALLED_AS = "CROZE_CALLED_AS"
"""Under which name the command was started, if it is another than its own."""

_BASH = r"""# bash completion for NAME

__NAME_complete() {
    COMPREPLY=()
    local line word previous="" words=()
    # bash parts words at = and : too; a command line doesn't
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if [[ ${#words[@]} -gt 0 && ( $word == [=:]* || $previous == *[=:] ) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        previous=$word
    done
    local current=${words[-1]}
    local out directive=0 candidates=()
    out=$("${words[0]}" __completeNoDesc "${words[@]:1}" 2>/dev/null) || return
    while IFS= read -r line; do
        case $line in
            :*) directive=${line#:} ;;
            *) [[ -z $line ]] || candidates+=("$line") ;;
        esac
    done <<< "$out"
    (( directive & 1 )) && return
    if (( directive & 2 )); then compopt -o nospace 2>/dev/null; fi
    if (( directive & 16 )); then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
    fi
    if (( ${#candidates[@]} == 0 && !(directive & 4) )); then
        (( directive & 2 )) && return
        current=${current##*=}
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    fi
    # what stands before the last : on the line already stays there
    local before=""
    [[ $current == *:* && $COMP_WORDBREAKS == *:* ]] && before=${current%"${current##*:}"}
    before=${before##*=}
    for word in "${candidates[@]}"; do
        COMPREPLY+=("${word#"$before"}")
    done
}

complete -F __NAME_complete NAME
"""
_ZSH = r"""#compdef NAME
# zsh completion for NAME

__NAME_complete() {
    local out line directive=0 value
    local -a candidates asked
    asked=("${(@Q)words[2,CURRENT]}")
    out=$("${(Q)words[1]}" __complete "${asked[@]}" 2>/dev/null) || return 1
    for line in "${(@f)out}"; do
        if [[ $line == :<-> ]]; then
            directive=${line#:}
        elif [[ -n $line ]]; then
            value=${line%%$'\t'*}
            value=${value//:/\\:}
            if [[ $line == *$'\t'* ]]; then
                candidates+=("$value:${line#*$'\t'}")
            else
                candidates+=("$value")
            fi
        fi
    done
    (( directive & 1 )) && return 1
    if (( directive & 16 )); then
        _files -/
        return
    fi
    if (( $#candidates == 0 )); then
        (( directive & 6 )) && return 1
        [[ $PREFIX == -*=* ]] && compset -P '*='
        _files
        return
    fi
    [[ $PREFIX == -*=* ]] && compset -P '*='
    local -a options
    (( directive & 2 )) && options=(-S '')
    _describe -V 'NAME' candidates "${options[@]}"
}

if [[ $funcstack[1] == _NAME ]]; then
    __NAME_complete "$@"
else
    compdef __NAME_complete NAME
fi
"""
_FISH = r"""# fish completion for NAME

function __NAME_ask
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l out ($words[1] __complete $words[2..] $current 2>/dev/null)
    or return 1
    set -g __NAME_directive (string replace : '' -- $out[-1])
    set -g __NAME_candidates $out[1..-2]
    # of --flag=value a whole word is wanted
    if string match -q -- '-*=*' $current
        set -l before (string replace -r '=.*' '=' -- $current)
        set -g __NAME_candidates $before$__NAME_candidates
    end
    test (math "$__NAME_directive % 2") = 0
end

function __NAME_has_own
    __NAME_ask; or return 1
    test (count $__NAME_candidates) -gt 0
    or test (math "floor($__NAME_directive / 2) % 4") -ne 0
end

function __NAME_wants_directories
    __NAME_ask; and test (math "floor($__NAME_directive / 16) % 2") = 1
end

complete -c NAME -e
complete -c NAME -n __NAME_has_own -f -a '$__NAME_candidates' -k
complete -c NAME -n __NAME_wants_directories -f -a '(__fish_complete_directories (commandline -ct))'
"""
SCRIPTS = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}


def run(argv: Sequence[str], common: Common) -> int:
    about = "Generate the autocompletion script for a shell"
    flags = Flags(COMMAND, about, "bash|fish|zsh")
    flags.add_argument("shell", metavar="SHELL", nargs="*")
    args = flags.read(argv, common)
    if len(args.shell) != 1 or args.shell[0] not in SCRIPTS:
        raise UsageError(f"'{COMMAND}' requires a shell: {', '.join(SCRIPTS)}", COMMAND)
    sys.stdout.write(script(args.shell[0], os.environ.get(CALLED_AS) or "croze"))
    return 0


def script(shell: str, name: str) -> str:
    """The script that makes a shell complete a command of that name."""
    function = name.replace("-", "_").replace(".", "_")
    text = SCRIPTS[shell]
    for before, after in (("__NAME", f"__{function}"), ("_NAME ", f"_{name} "), ("NAME", name)):
        text = text.replace(before, after)
    return text
