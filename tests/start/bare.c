// The least that a program can do: `bare PORT REQUEST...` connects, sends the requests, and ends when each has its reply.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &server.sin_addr);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(stream, (struct sockaddr *)&server, sizeof server) != 0)
        return 1;
    // In one write: the second of two would wait for the acknowledgement of the first.
    static char line[65536];
    for (int i = 2; i < argc; i++) {
        strcat(line, argv[i]);
        strcat(line, "\n");
    }
    if (write(stream, line, strlen(line)) != (ssize_t)strlen(line))
        return 2;
    // A reply ends with an empty line.
    static char received[65536];
    size_t length = 0;
    for (int replies = 0; replies < argc - 2;) {
        ssize_t read_now = read(stream, received + length, sizeof received - length);
        if (read_now <= 0)
            return 3;
        length += read_now;
        replies = 0;
        for (size_t i = 0; i + 3 < length; i++)
            replies += memcmp(received + i, "\r\n\r\n", 4) == 0;
    }
    return 0;
}
