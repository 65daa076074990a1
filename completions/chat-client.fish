# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_chat_client_global_optspecs
    string join \n host= port= tls ca= known-servers= insecure-plaintext profile= token-file= password-file= device= timeout= json raw classic no-ack farewell= h/help V/version
end

function __fish_chat_client_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_chat_client_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_chat_client_using_subcommand
    set -l cmd (__fish_chat_client_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c chat-client -n "__fish_chat_client_needs_command" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_needs_command" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_needs_command" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_needs_command" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_needs_command" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_needs_command" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_needs_command" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_needs_command" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_needs_command" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_needs_command" -l farewell -d 'When the input of a watch has ended: seconds of silence after which the server counts as lost' -r
complete -c chat-client -n "__fish_chat_client_needs_command" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_needs_command" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_needs_command" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_needs_command" -l raw -d 'Print the server\'s JSON; unchanged, except that a terminal shows control characters as \\uXXXX'
complete -c chat-client -n "__fish_chat_client_needs_command" -l classic -d 'On a terminal: the plain dialogue of the first client, with the token in the prompt'
complete -c chat-client -n "__fish_chat_client_needs_command" -l no-ack -d 'On a terminal: leave what is shown in the inbox, because another program of the same user takes it out'
complete -c chat-client -n "__fish_chat_client_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chat-client -n "__fish_chat_client_needs_command" -s V -l version -d 'Print version'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "login" -d 'Log in, and keep the token for later commands; the password is asked for, or comes from --password-file or standard input'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "logout" -d 'End the session and forget its token, or end another session'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "send" -d 'Send a message; the server has stored it when this ends with 0'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "inbox" -d 'Print the messages that wait, and take out of the inbox what was printed'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "listen" -d 'Print messages as they come, those that wait first, and take out of the inbox what was printed'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "wait" -d 'Wait for a message: `listen --count 1`'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "history" -d 'Print the newest messages of a conversation'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "conversations" -d 'List your conversations: the last message, and how many are unread'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "read" -d 'Move your read marker of a conversation: a person has read everything up to a message'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "who" -d 'List all users: who is logged in and connected'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "rooms" -d 'List all rooms'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "members" -d 'List the members of a room that you are in'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "join" -d 'Enter a room, and make it if there is none'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "leave" -d 'Leave a room'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "status" -d 'Show how far a message is: stored, acknowledged, read'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "sessions" -d 'List your sessions, and from where they were used'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "whoami" -d 'Show whose session it is, on which server, and how long it lasts'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "passwd" -d 'Change your password; your other sessions end. Without a terminal, standard input has two lines: the old password and the new one'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "bench" -d 'Measure the server with messages to yourself: rates, latency, and whether each message arrives once'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "completions" -d 'Print a completion script, with which a shell completes the commands and flags of this program'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "man" -d 'Print the man page of this program; `man -l FILE` shows it'
complete -c chat-client -n "__fish_chat_client_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand login" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand logout" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l key -d 'Name of the message, up to 64 bytes: however often it is sent under this name, it is stored once' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l wait -d 'Wait until the message has left the inbox, or was read by a person; 5 if --timeout ends before' -r -f -a "acked\t'It has left the recipient\'s inbox'
read\t'A person has read it'"
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l lines -d 'Send each line of standard input as a message'
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l keep -d 'Leave the messages in the inbox'
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l fail-empty -d 'Exit with 6 if there is none'
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand inbox" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l count -d 'End after so many messages' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l exec -d 'Run this command (by `sh -c`) for each message instead of printing it: the text and a line end are its standard input, and `CHAT_FROM`, `CHAT_TO`, `CHAT_ID` and `CHAT_AT` tell the rest. When it fails, the message stays in the inbox, and this ends with 7' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l retries -d 'How often a command that fails is run again before that' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l keep -d 'Leave the messages in the inbox'
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand listen" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l count -d 'End after so many messages' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l exec -d 'Run this command (by `sh -c`) for each message instead of printing it: the text and a line end are its standard input, and `CHAT_FROM`, `CHAT_TO`, `CHAT_ID` and `CHAT_AT` tell the rest. When it fails, the message stays in the inbox, and this ends with 7' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l retries -d 'How often a command that fails is run again before that' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l keep -d 'Leave the messages in the inbox'
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand wait" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l limit -d 'Most messages' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l before -d 'Only messages before the one of this number' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l fail-empty -d 'Exit with 6 if there is none'
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand history" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand conversations" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand read" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand who" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand rooms" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand members" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand join" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand leave" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand status" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand sessions" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand whoami" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand passwd" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l clients -d 'Connections that send, each in your session' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l pipeline -d 'Sends in flight on each connection' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l size -d 'Length of each text' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l duration -d 'How long to send [default: 10s]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l messages -d 'How many messages to send' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l rate -d 'Messages a second, on all connections together; the latency of each counts from when it was due [default: as many as the server takes]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l to -d 'What is measured' -r -f -a "live\t'From each send until the message arrives at another connection, which watches'
inbox\t'From each send until its OK; afterwards the messages are taken out of the inbox'"
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l plot -d 'Draw the latency by percentile into this file (SVG)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l verify -d 'Account for every message, also when the server is killed and started again; exit with 1 if one is lost or comes twice'
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l host -d 'The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l port -d 'Port of the servers that are named without one [default: 8889; with --tls 8890]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l ca -d 'With --tls: trust only this authority or certificate (PEM)' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l known-servers -d 'File of the certificates of first connections [default: chat-service/known_servers in ~/.config]' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l profile -d 'Name of the login, if you use several servers or users: each has a file of its own' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l token-file -d 'Use the token in this file (or in `CHAT_TOKEN`) instead of a login' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l password-file -d 'Read the password from this file, to log in, and to log in again when the session has ended' -r -F
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l device -d 'What `sessions` calls this device; without it, user and machine' -r -f
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l timeout -d 'Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]' -r
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l tls -d 'Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection'
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l insecure-plaintext -l insecure -d 'Without --tls, call a server on another machine: others on the network can read passwords and messages'
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -l json -d 'Print JSON, an object a line, with the names of the protocol'
complete -c chat-client -n "__fish_chat_client_using_subcommand man" -s h -l help -d 'Print help'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "login" -d 'Log in, and keep the token for later commands; the password is asked for, or comes from --password-file or standard input'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "logout" -d 'End the session and forget its token, or end another session'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "send" -d 'Send a message; the server has stored it when this ends with 0'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "inbox" -d 'Print the messages that wait, and take out of the inbox what was printed'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "listen" -d 'Print messages as they come, those that wait first, and take out of the inbox what was printed'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "wait" -d 'Wait for a message: `listen --count 1`'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "history" -d 'Print the newest messages of a conversation'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "conversations" -d 'List your conversations: the last message, and how many are unread'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "read" -d 'Move your read marker of a conversation: a person has read everything up to a message'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "who" -d 'List all users: who is logged in and connected'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "rooms" -d 'List all rooms'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "members" -d 'List the members of a room that you are in'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "join" -d 'Enter a room, and make it if there is none'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "leave" -d 'Leave a room'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "status" -d 'Show how far a message is: stored, acknowledged, read'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "sessions" -d 'List your sessions, and from where they were used'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "whoami" -d 'Show whose session it is, on which server, and how long it lasts'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "passwd" -d 'Change your password; your other sessions end. Without a terminal, standard input has two lines: the old password and the new one'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "bench" -d 'Measure the server with messages to yourself: rates, latency, and whether each message arrives once'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "completions" -d 'Print a completion script, with which a shell completes the commands and flags of this program'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "man" -d 'Print the man page of this program; `man -l FILE` shows it'
complete -c chat-client -n "__fish_chat_client_using_subcommand help; and not __fish_seen_subcommand_from login logout send inbox listen wait history conversations read who rooms members join leave status sessions whoami passwd bench completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
