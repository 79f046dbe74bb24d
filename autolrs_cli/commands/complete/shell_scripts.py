"""The scripts that make shells ask `autolrs` what comes next. They stay as they are when commands change."""

from __future__ import annotations

# Readline takes = and : for the end of a word, and replaces only what comes after; candidates are whole words.
BASH = r"""_autolrs() {
    local line="${COMP_LINE:0:COMP_POINT}" candidate breaks="" kept=""
    [[ $COMP_WORDBREAKS == *=* ]] && breaks+="="
    [[ $COMP_WORDBREAKS == *:* ]] && breaks+=":"
    if [[ -n $breaks ]]; then
        kept="${line##*[[:space:]\"\']}"
        kept="${kept%"${kept##*[$breaks]}"}"
    fi
    COMPREPLY=()
    while IFS= read -r candidate; do
        candidate="${candidate#"$kept"}"
        # A comma or a bracket needs no backslash here; a space or a dollar sign does.
        [[ $candidate =~ [^][:alnum:]_./=:,+~@%[-] ]] && printf -v candidate '%q' "$candidate"
        COMPREPLY+=("$candidate")
    done < <("${COMP_WORDS[0]}" completion bash --line "$line" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=./] ]] && compopt -o nospace 2>/dev/null
}
complete -F _autolrs autolrs
"""

ZSH = r"""#compdef autolrs
_autolrs() {
    local -a found open closed
    found=("${(@f)$(autolrs completion zsh --line "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
    open=(${(M)found:#*[=./]})
    closed=(${found:#*[=./]})
    (( ${#open} )) && compadd -S '' -a open
    (( ${#closed} )) && compadd -a closed
}
compdef _autolrs autolrs
"""

FISH = r"""complete --command autolrs --no-files \
    --arguments '(autolrs completion fish --line (commandline --current-process --cut-at-cursor) 2>/dev/null)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
