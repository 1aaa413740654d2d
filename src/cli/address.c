#include "cli/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/str.h"

int cli_address_parse(const char *text, struct cli_address *ret_address, struct error *err)
{
    struct cli_address address = {0};
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    const char *host = text;
    int64_t port;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        len = 0; /* an IPv6 address without brackets: which part is the port? */
    }
    if (len == 0 || len >= sizeof address.host || strcspn(host, " /@") < len ||
        !str_parse_int(colon + 1, 0, UINT16_MAX, &port))
        return error_set(err, ERROR_USAGE, "'%.100s' is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:0", text);
    memcpy(address.host, host, len);
    address.port = (uint16_t)port;
    *ret_address = address;
    return 0;
}

bool cli_address_is_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six);
    return strcmp(host, "localhost") == 0;
}
