/* libmodbus at both ends of the Modbus measurement of `make bench`.
 *
 *   libmodbus server               serves holding registers on a free loopback port, prints `READY <port>`;
 *                                  one connection after the other, until killed
 *   libmodbus client PORT SECONDS  reads 125 registers again and again, prints `<requests per second>`
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REGISTERS 1000
#define AT_ONCE 125

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
    return 1;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int serve(void) {
    /* libmodbus binds port 0 but does not tell which port that became: the socket is ours to ask. */
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        return fail("listen");
    modbus_t *bus = modbus_new_tcp("127.0.0.1", ntohs(address.sin_port));
    modbus_mapping_t *map = modbus_mapping_new(0, 0, REGISTERS, 0);
    if (!bus || !map)
        return fail("libmodbus");
    for (int at = 0; at < REGISTERS; at++)
        map->tab_registers[at] = (uint16_t)at;
    printf("READY %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(bus, &listener) < 0)
            return fail("accept");
        uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
        for (int got; (got = modbus_receive(bus, query)) >= 0;)
            if (got > 0 && modbus_reply(bus, query, got, map) < 0)
                break;
        modbus_close(bus);
    }
}

static int ask(int port, double limit) {
    modbus_t *bus = modbus_new_tcp("127.0.0.1", port);
    if (!bus || modbus_connect(bus) < 0)
        return fail("connect");
    uint16_t values[AT_ONCE];
    double start = seconds(), passed;
    long count = 0;
    do {
        int first = (int)(count % (REGISTERS - AT_ONCE));
        if (modbus_read_registers(bus, first, AT_ONCE, values) != AT_ONCE || values[0] != first)
            return fail("read");
        count++;
        passed = seconds() - start;
    } while (passed < limit);
    printf("%.0f\n", (double)count / passed);
    modbus_close(bus);
    modbus_free(bus);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 2 && !strcmp(arguments[1], "server"))
        return serve();
    if (count == 4 && !strcmp(arguments[1], "client"))
        return ask(atoi(arguments[2]), atof(arguments[3]));
    fprintf(stderr, "libmodbus server | client PORT SECONDS\n");
    return 2;
}
