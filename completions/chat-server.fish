# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_chat_server_global_optspecs
    string join \n host= port= tls-port= tls-cert= tls-key= insecure-plaintext users= data= max-password-hash= store= durability= inbox-limit= inbox-share= daily= retain= accept-loss trust-clock max-connections= max-connections-per-address= max-connections-per-user= reply-memory= reply-memory-per-user= login-deadline= line-deadline= idle-timeout= slow-consumer= login-tries= login-tries-per-address= login-rate= login-burst= new-rooms= login-queue= anonymous-rate= anonymous-burst= request-rate= request-burst= network-threads= no-limits log-format= log-level= h/help V/version
end

function __fish_chat_server_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_chat_server_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_chat_server_using_subcommand
    set -l cmd (__fish_chat_server_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c chat-server -n "__fish_chat_server_needs_command" -l host -d 'Address to listen on: 127.0.0.1 is reachable from this machine only, 0.0.0.0 from the network' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l port -d 'Port to listen on; 0 chooses a free port and prints it' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l tls-port -d 'Port for TLS; 0 chooses a free port and prints it [default: no TLS]' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l tls-cert -d 'Certificate chain for TLS, in PEM [default: tls-cert.pem beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_needs_command" -l tls-key -d 'Private key of the certificate, in PEM [default: tls-key.pem beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_needs_command" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_needs_command" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_needs_command" -l max-password-hash -d 'Dearest password hash: KiB of memory (m), and passes over as much (t). Each failed login costs as much as the dearest one in use' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l store -d 'Where to store messages' -r -f -a "sqlite\t'On disk, in an SQLite database'
memory\t'In memory; lost when the server ends'"
complete -c chat-server -n "__fish_chat_server_needs_command" -l durability -d 'What an OK promises' -r -f -a "fsync\t'The message is synced to disk, and survives a power cut'
os\t'The message was given to the operating system, and survives a crash of the server, but not of the machine'"
complete -c chat-server -n "__fish_chat_server_needs_command" -l inbox-limit -d 'Most messages that wait in one inbox; more are refused' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l inbox-share -d 'Most messages of one sender that wait in one inbox, other than the sender\'s own; more are refused [default: a tenth of --inbox-limit, and at least 1000]' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l daily -d 'Most MiB that one user may send in a day; each message counts its text and 128 bytes' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l retain -d 'Remove messages after this number of days, except those that wait in an inbox [default: keep for ever]' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l max-connections -d 'Most connections; more are refused' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l max-connections-per-address -d 'Most connections from one address (IPv6: from one /64 network)' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l max-connections-per-user -d 'Most connections of one user' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l reply-memory -d 'Most MiB of memory for replies that clients have not taken' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l reply-memory-per-user -d 'Most MiB of memory for replies that the clients of one user have not taken' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l login-deadline -d 'Seconds within which a client must log in on a connection, or show a token' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l line-deadline -d 'Seconds within which a client must finish a line' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l idle-timeout -d 'Seconds without a request after which a connection is closed, unless it watches' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l slow-consumer -d 'Seconds after which a client that reads nothing is cut off; one that reads less than 4 KiB/s is cut off after 30 seconds' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l login-tries -d 'Failed logins in a row for one account, from addresses that are new to it; one more each minute' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l login-tries-per-address -d 'Failed logins in a row from one address (IPv6: from one /64 network); one more every 20 seconds' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l login-rate -d 'Average right logins a second of one user' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l login-burst -d 'Most right logins of one user at once, after a pause' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l new-rooms -d 'Most rooms that a user may create; one more is possible each minute' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l login-queue -d 'Most logins that wait for their password to be verified' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l anonymous-rate -d 'Average requests a second from one address before login (IPv6: from one /64 network)' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l anonymous-burst -d 'Most requests from one address before login at once, after a pause' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l request-rate -d 'Average requests a second of each user' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l request-burst -d 'Most requests of a user at once, after a pause' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l network-threads -d 'Threads that serve connections [default: one less than there are cores, at least 1]' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l log-format -d 'Format of the log on standard error' -r -f -a "text\t'A line of text for each event'
json\t'A JSON object for each event'"
complete -c chat-server -n "__fish_chat_server_needs_command" -l log-level -d 'Lowest level to log: error, warn, info, debug, trace or off' -r
complete -c chat-server -n "__fish_chat_server_needs_command" -l insecure-plaintext -d 'Accept connections from the network without encryption: --port listens on --host, too'
complete -c chat-server -n "__fish_chat_server_needs_command" -l accept-loss -d 'Start on a database that has less than was stored before, and go on without what is lost'
complete -c chat-server -n "__fish_chat_server_needs_command" -l trust-clock -d 'Believe the clock at start, however far it is ahead of when the server last ran'
complete -c chat-server -n "__fish_chat_server_needs_command" -l no-limits -d 'For load tests: no limits of rate, time, connections, memory and bytes a day, no sender\'s share of an inbox, and weak hashes are not renewed; line and inbox limits stay'
complete -c chat-server -n "__fish_chat_server_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chat-server -n "__fish_chat_server_needs_command" -s V -l version -d 'Print version'
complete -c chat-server -n "__fish_chat_server_needs_command" -f -a "hash-password" -d 'Read a password (hidden on a terminal, otherwise a line of standard input) and print its hash for the users file'
complete -c chat-server -n "__fish_chat_server_needs_command" -f -a "cert" -d 'Make a self-signed certificate and its key for TLS, in the files that the server reads'
complete -c chat-server -n "__fish_chat_server_needs_command" -f -a "backup" -d 'Copy everything that is stored into a new file, also while the server runs'
complete -c chat-server -n "__fish_chat_server_needs_command" -f -a "check" -d 'Verify what is stored (structure, checksums, inboxes, cursors), also while the server runs'
complete -c chat-server -n "__fish_chat_server_needs_command" -f -a "user" -d 'Change the users in the users file, also while the server runs'
complete -c chat-server -n "__fish_chat_server_needs_command" -f -a "completions" -d 'Print a completion script, with which a shell completes the commands and flags of this program'
complete -c chat-server -n "__fish_chat_server_needs_command" -f -a "man" -d 'Print the man page of this program; `man -l FILE` shows it'
complete -c chat-server -n "__fish_chat_server_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chat-server -n "__fish_chat_server_using_subcommand hash-password" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand hash-password" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand hash-password" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand cert" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand cert" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand cert" -l tls-cert -d 'Certificate chain for TLS, in PEM [default: tls-cert.pem beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand cert" -l tls-key -d 'Private key of the certificate, in PEM [default: tls-key.pem beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand cert" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand backup" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand backup" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand backup" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand check" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand check" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand check" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -f -a "add" -d 'Add a user; asks for the password (hidden on a terminal, otherwise a line of standard input)'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -f -a "passwd" -d 'Change a password; asks for the new one (hidden on a terminal, otherwise a line of standard input)'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -f -a "reclaim" -d 'Say that names belong to the same persons as before, who get everything back'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -f -a "fresh" -d 'Say that names belong to somebody else now, who gets nothing of what there was'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -f -a "remove" -d 'Remove a user; the messages stay'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -f -a "list" -d 'List all users: name, full name, country and how the password is kept, separated by tabs'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -f -a "import" -d 'Add all users in a CSV file with the columns username,name,country,password, or none'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and not __fish_seen_subcommand_from add passwd reclaim fresh remove list import help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from add" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from add" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from add" -l name -d 'Name that others see [default: NAME]' -r
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from add" -l country -d 'Country' -r
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from add" -l reclaim -d 'The same person had the name before, and gets back messages, rooms and everything else'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from add" -l fresh -d 'Somebody else had the name before: the new user gets nothing of what there was'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from passwd" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from passwd" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from passwd" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from reclaim" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from reclaim" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from reclaim" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from fresh" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from fresh" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from fresh" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from remove" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from remove" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from list" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from list" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from import" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from import" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from import" -l max-password-hash -d 'Dearest password hash: KiB of memory (m), and passes over as much (t). Each failed login costs as much as the dearest one in use' -r
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a user; asks for the password (hidden on a terminal, otherwise a line of standard input)'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "passwd" -d 'Change a password; asks for the new one (hidden on a terminal, otherwise a line of standard input)'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "reclaim" -d 'Say that names belong to the same persons as before, who get everything back'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "fresh" -d 'Say that names belong to somebody else now, who gets nothing of what there was'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove a user; the messages stay'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all users: name, full name, country and how the password is kept, separated by tabs'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "import" -d 'Add all users in a CSV file with the columns username,name,country,password, or none'
complete -c chat-server -n "__fish_chat_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chat-server -n "__fish_chat_server_using_subcommand completions" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand completions" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chat-server -n "__fish_chat_server_using_subcommand man" -l users -d 'The users file' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand man" -l data -d 'Folder for stored data [default: chat-data beside the users file]' -r -F
complete -c chat-server -n "__fish_chat_server_using_subcommand man" -s h -l help -d 'Print help'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and not __fish_seen_subcommand_from hash-password cert backup check user completions man help" -f -a "hash-password" -d 'Read a password (hidden on a terminal, otherwise a line of standard input) and print its hash for the users file'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and not __fish_seen_subcommand_from hash-password cert backup check user completions man help" -f -a "cert" -d 'Make a self-signed certificate and its key for TLS, in the files that the server reads'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and not __fish_seen_subcommand_from hash-password cert backup check user completions man help" -f -a "backup" -d 'Copy everything that is stored into a new file, also while the server runs'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and not __fish_seen_subcommand_from hash-password cert backup check user completions man help" -f -a "check" -d 'Verify what is stored (structure, checksums, inboxes, cursors), also while the server runs'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and not __fish_seen_subcommand_from hash-password cert backup check user completions man help" -f -a "user" -d 'Change the users in the users file, also while the server runs'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and not __fish_seen_subcommand_from hash-password cert backup check user completions man help" -f -a "completions" -d 'Print a completion script, with which a shell completes the commands and flags of this program'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and not __fish_seen_subcommand_from hash-password cert backup check user completions man help" -f -a "man" -d 'Print the man page of this program; `man -l FILE` shows it'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and not __fish_seen_subcommand_from hash-password cert backup check user completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "add" -d 'Add a user; asks for the password (hidden on a terminal, otherwise a line of standard input)'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "passwd" -d 'Change a password; asks for the new one (hidden on a terminal, otherwise a line of standard input)'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "reclaim" -d 'Say that names belong to the same persons as before, who get everything back'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "fresh" -d 'Say that names belong to somebody else now, who gets nothing of what there was'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "remove" -d 'Remove a user; the messages stay'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "list" -d 'List all users: name, full name, country and how the password is kept, separated by tabs'
complete -c chat-server -n "__fish_chat_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "import" -d 'Add all users in a CSV file with the columns username,name,country,password, or none'
