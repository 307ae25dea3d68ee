# Completion of dep2p for bash. Rendered from the command table; edit that.

_dep2p() {
    local cur prev word command='' skip='' only='' kind='' words='' i
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD-1]}
    # bash splits --option=value into three words.
    if [[ $cur == '=' ]]; then
        cur=''
    elif [[ $prev == '=' && COMP_CWORD -gt 2 ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == '=' ]]; then
            skip=1
        elif [[ -n $skip ]]; then
            skip=''
        elif [[ -z $only && $word == -- ]]; then
            only=1
        elif [[ -z $only && $word == -?* ]]; then
            case $word in
            --allow | --bootstrap | --circuit-bytes | --circuit-rate | --circuit-time | --config | --count | --dht-protocol | --high-watermark | --identity | --interval | --introspect | --listen | --log-format | --low-watermark | --mainline-node | --max-circuits | --max-circuits-per-ip | --max-circuits-per-node | --max-circuits-per-pair | --max-circuits-per-subnet | --max-requests | --max-reservations | --max-reservations-per-ip | --max-reservations-per-subnet | --max-size | --message | --output | --passphrase-file | --peer | --preset | --providers | --realm-key | --record | --relay | --reply | --reservation-time | --server | --show | --show-node-id | --state-dir | --tcp-listen | --timeout | --to | --transfers | --wait-peers | -c | -i | -m | -o) skip=1 ;;
            esac
        elif [[ -z $command ]]; then
            command=$word
        fi
    done
    COMPREPLY=()

    if [[ -n $skip ]]; then
        case "$command $prev" in
        'keygen '-o | 'keygen '--output) kind=file ;;
        'keygen '--show) kind=file ;;
        'realm-key '-o | 'realm-key '--output) kind=file ;;
        'realm-key '--show) kind=file ;;
        'send '--to) kind=names ;;
        'listen '--allow) kind=names ;;
        'listen '-o | 'listen '--output) kind=directory ;;
        'start '--allow) kind=names ;;
        'start '-o | 'start '--output) kind=directory ;;
        'nat-check '--server) kind=names ;;
        *' '--identity) kind=file ;;
        *' '--passphrase-file) kind=file ;;
        *' '--realm-key) kind=file ;;
        *' '--bootstrap) kind=names ;;
        *' '--peer) kind=names ;;
        *' '--preset) words='desktop minimal mobile server' ;;
        *' '--relay) kind=names ;;
        *' '--show-node-id) words='always never outside-realms' ;;
        *' '--state-dir) kind=directory ;;
        *' '--config) kind=file ;;
        *' '--log-format) words='json text' ;;
        esac
    elif [[ -z $only && $cur == -* ]]; then
        case $command in
        keygen) words='-f --force -o --output --show --passphrase-file --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        realm-key) words='-o --output --show --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        send) words='-m --message --to --ephemeral --identity --passphrase-file --realm-key --bootstrap --listen --mainline --mainline-node --no-dht --no-direct --no-mdns --no-relay --peer --preset --relay --state-dir --timeout --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        listen) words='--allow --max-size --once -o --output --reply --stdout --transfers --ephemeral --identity --passphrase-file --realm-key --bootstrap --listen --mainline --mainline-node --no-dht --no-direct --no-mdns --no-port-mapping --no-relay --peer --preset --relay --show-node-id --state-dir --timeout --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        publish) words='--lines --wait-peers --ephemeral --identity --passphrase-file --realm-key --bootstrap --listen --mainline --mainline-node --no-dht --no-direct --no-mdns --no-relay --peer --preset --relay --state-dir --timeout --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        subscribe) words='--count --ephemeral --identity --passphrase-file --realm-key --bootstrap --listen --mainline --mainline-node --no-dht --no-direct --no-mdns --no-port-mapping --no-relay --peer --preset --relay --show-node-id --state-dir --timeout --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        start) words='--allow --bootstrap-server --high-watermark --introspect --low-watermark --max-size -o --output --print-config --realm-relay --reply --transfers --ephemeral --identity --passphrase-file --realm-key --bootstrap --listen --mainline --mainline-node --no-dht --no-direct --no-mdns --no-port-mapping --no-relay --peer --preset --relay --show-node-id --state-dir --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        ping) words='-c --count -i --interval --require-direct --until-direct --ephemeral --identity --passphrase-file --realm-key --bootstrap --listen --mainline --mainline-node --no-dht --no-direct --no-mdns --no-relay --peer --preset --relay --state-dir --timeout --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        relay) words='--circuit-bytes --circuit-rate --circuit-time --max-circuits --max-circuits-per-ip --max-circuits-per-node --max-circuits-per-pair --max-circuits-per-subnet --max-requests --max-reservations --max-reservations-per-ip --max-reservations-per-subnet --public --reservation-time --tcp-listen --ephemeral --identity --passphrase-file --realm-key --bootstrap --listen --no-dht --no-port-mapping --preset --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        dht-find) words='--dht-protocol --providers --record --ephemeral --identity --passphrase-file --realm-key --bootstrap --listen --mainline --mainline-node --no-dht --no-direct --no-mdns --no-relay --peer --preset --relay --state-dir --timeout --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        nat-check) words='--server --peer --relay --timeout --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        *) words='--ephemeral --identity --passphrase-file --realm-key --bootstrap --listen --mainline --mainline-node --no-dht --no-direct --no-mdns --no-port-mapping --no-relay --peer --preset --relay --show-node-id --state-dir --timeout --config -h --help --json --log-format --no-color -q --quiet -v --verbose --version' ;;
        esac
    else
        case $command in
        '') words='keygen realm-key send listen publish subscribe start ping relay dht-find nat-check help' ;;
        send) kind=file ;;
        ping) kind=names ;;
        dht-find) kind=names ;;
        help) words='keygen realm-key send listen publish subscribe start ping relay dht-find nat-check' ;;
        esac
    fi

    case $kind in
    file)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    directory)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        ;;
    names)
        mapfile -t COMPREPLY < <(compgen -W "$(command dep2p __names 2>/dev/null)" -- "$cur")
        ;;
    *)
        [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        ;;
    esac
}

complete -F _dep2p dep2p
