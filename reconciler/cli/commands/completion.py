"""``reconciler completion``.

The scripts ask the command itself in the form that click knows for each shell. They are our own,
because those of click complete no ``--option=value``: bash splits words at ``=``, and the other two
take what is offered for all of the word.
"""

from __future__ import annotations

import click

from reconciler.cli import options, output

_BASH = r"""
_reconciler_completion() {
    # Words are split at COMP_WORDBREAKS; what stands together on the line is put together again.
    local IFS=$'\n' line=${COMP_LINE-} option= word kept kind value
    local -a words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if (( ${#words[@]} )) && [[ $line == [![:space:]]* ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        line=${line#*"$word"}
    done
    word=${words[-1]}
    [[ $word == -*=* ]] && option=${word%%=*}=
    # Only $2 is replaced by what is offered: what stands before it is kept.
    kept=${word%"${2-$word}"}
    kept=${kept//[\"\']/}
    COMPREPLY=()
    while IFS=, read -r kind value; do
        value=$option$value
        case $kind in
            plain) COMPREPLY+=("${value#"$kept"}") ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
        esac
    done < <(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \
        _RECONCILER_COMPLETE=bash_complete "$1")
}

complete -o nosort -F _reconciler_completion reconciler
"""

_ZSH = r"""
#compdef reconciler

_reconciler_completion() {
    local -a offered described response
    local kind value told
    (( $+commands[reconciler] )) || return 1
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \
        _RECONCILER_COMPLETE=zsh_complete reconciler)}")
    [[ $words[CURRENT] == -*=* ]] && compset -P 1 '*='
    for kind value told in $response; do
        case $kind in
            plain) [[ $told == _ ]] && offered+=("$value") || described+=("$value:$told") ;;
            file) _path_files -f ;;
            dir) _path_files -/ ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described
    (( $#offered )) && compadd -V unsorted -a offered
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _reconciler_completion "$@"
else
    compdef _reconciler_completion reconciler
fi
"""

_FISH = r"""
function _reconciler_completion
    set -l word (commandline -t)
    set -l option (string match -r -- '^-[^=]*=' $word)
    for offer in (env COMP_WORDS=(commandline -cp) COMP_CWORD=$word \
            _RECONCILER_COMPLETE=fish_complete reconciler)
        set -l parts (string split -m 1 , -- $offer)
        switch $parts[1]
            case plain
                echo -- "$option$parts[2]"
            case file dir
                for path in (__fish_complete_path $parts[2])
                    echo -- "$option$path"
                end
        end
    end
end

complete --no-files --command reconciler --arguments "(_reconciler_completion)"
"""

SHELLS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command(
    "completion",
    help="""Print a script that lets a shell complete commands, options, targets and files.

    \b
    bash   eval "$(reconciler completion bash)"       in ~/.bashrc
    zsh    eval "$(reconciler completion zsh)"        in ~/.zshrc, after compinit
    fish   reconciler completion fish | source        in ~/.config/fish/config.fish

    Names of targets come from the manifests of PATH where it stands before the option, and of the
    working directory else.""",
    epilog=options.examples(
        "reconciler completion bash",
        "reconciler completion zsh",
        "reconciler completion fish",
    ),
)
@click.argument("shell", type=click.Choice(tuple(SHELLS)))
@options.indifferent("verbose", "quiet", "no_color")
def command(shell: str) -> int:
    """Print a completion script."""
    from reconciler.core.errors import ExitCode

    output.result(SHELLS[shell].lstrip("\n"))
    return ExitCode.OK
