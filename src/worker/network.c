/* Everything is an IPv6 address here, IPv4 mapped: one table for both. The IANA special-purpose registries (RFC 6890)
 * are the source. */
#include "worker/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/str.h"
#include "worker/protocol.h"

struct network {
    unsigned char prefix[16];
    unsigned len;               /* bits */
};

enum { MAPPED_BITS = 96 };

#define V4(a, b, c, d, bits) {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, MAPPED_BITS + (bits)}

static const struct network mapped = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, MAPPED_BITS};
static const struct network global = {{0x20}, 3};
static const struct network nat64 = {{0, 0x64, 0xff, 0x9b}, 96};       /* RFC 6052: IPv4 in the last 4 bytes */
static const struct network six_to_four = {{0x20, 0x02}, 16};          /* RFC 3056: IPv4 in bytes 2 to 5 */

static const struct network special[] = {
    V4(0, 0, 0, 0, 8),          /* this network */
    V4(10, 0, 0, 0, 8),
    V4(100, 64, 0, 0, 10),      /* behind a provider's NAT */
    V4(127, 0, 0, 0, 8),
    V4(169, 254, 0, 0, 16),     /* link; metadata of most clouds */
    V4(172, 16, 0, 0, 12),
    V4(192, 0, 0, 0, 24),       /* protocol assignments; metadata of some clouds */
    V4(192, 0, 2, 0, 24),       /* documentation, as the next two */
    V4(198, 51, 100, 0, 24),
    V4(203, 0, 113, 0, 24),
    V4(192, 88, 99, 0, 24),     /* relays of 6to4 */
    V4(192, 168, 0, 0, 16),
    V4(198, 18, 0, 0, 15),      /* benchmarks */
    V4(224, 0, 0, 0, 3),        /* multicast, reserved, broadcast */
    {{0x20, 0x01, 0x00}, 23},   /* protocol assignments, Teredo among them, which hides an IPv4 address */
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x3f, 0xff}, 20},
};

static bool holds(const struct network *network, const unsigned char address[16])
{
    unsigned bytes = network->len / 8, bits = network->len % 8;
    if (memcmp(network->prefix, address, bytes) != 0)
        return false;
    return bits == 0 || (network->prefix[bytes] ^ address[bytes]) >> (8 - bits) == 0;
}

static void map(const unsigned char four[4], unsigned char address[16])
{
    memcpy(address, mapped.prefix, 12);
    memcpy(address + 12, four, 4);
}

static bool read_address(const struct sockaddr *from, unsigned char address[16])
{
    if (from->sa_family == AF_INET)
        map((const unsigned char *)&((const struct sockaddr_in *)(const void *)from)->sin_addr, address);
    else if (from->sa_family == AF_INET6)
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
    else
        return false;
    return true;
}

bool worker_network_is_public(const struct sockaddr *from)
{
    unsigned char address[16], inner[4];
    if (!read_address(from, address))
        return false;
    if (holds(&nat64, address) || holds(&six_to_four, address)) {
        memcpy(inner, holds(&nat64, address) ? address + 12 : address + 2, 4);
        map(inner, address);
    }
    if (!holds(&mapped, address) && !holds(&global, address))
        return false;
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        if (holds(&special[i], address))
            return false;
    return true;
}

bool worker_network_parse(const char *text, unsigned char ret_prefix[16], unsigned *ret_len)
{
    char host[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "/");
    unsigned char four[4];
    int64_t bits = -1;
    if (len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    bool is_four = inet_pton(AF_INET, host, four) == 1;
    if (!is_four && inet_pton(AF_INET6, host, ret_prefix) != 1)
        return false;
    if (is_four)
        map(four, ret_prefix);
    if (text[len] && !str_parse_int(text + len + 1, 0, is_four ? 32 : 128, &bits))
        return false;
    *ret_len = bits < 0 ? 128 : (unsigned)bits + (is_four ? MAPPED_BITS : 0);
    return true;
}

bool worker_network_holds(const struct job_list *networks, const struct sockaddr *from)
{
    unsigned char address[16];
    const char *cursor = networks->bytes, *text;
    if (!read_address(from, address))
        return false;
    while ((text = worker_list_next(networks, &cursor))) {
        struct network network;
        if (worker_network_parse(text, network.prefix, &network.len) && holds(&network, address))
            return true;
    }
    return false;
}
