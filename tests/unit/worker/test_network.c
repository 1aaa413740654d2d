/* Which addresses are public: one of each special kind, its neighbours, and IPv4 in every IPv6 form. */
#include "rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "worker/network.h"

static bool is_public(const char *text)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return worker_network_is_public((const struct sockaddr *)&four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return worker_network_is_public((const struct sockaddr *)&six);
}

static void test_private(void **state)
{
    (void)state;
    static const char *const private[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
        "127.255.255.254", "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1",
        "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1",
        "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a00:1::1",
        "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "fe80::1", "fe80::a9fe:a9fe", "fc00::1", "fd00:ec2::254",
        "ff02::1", "fec0::1", "100::1", "5f00::1",
    };
    for (size_t i = 0; i < sizeof private / sizeof private[0]; i++)
        if (is_public(private[i]))
            fail_msg("%s is not public", private[i]);
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(worker_network_is_public(&other));
}

static void test_public(void **state)
{
    (void)state;
    static const char *const public[] = {
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
        "2606:4700::1111", "2a00::1", "2001:4860::8888", "3ffe::1",
    };
    for (size_t i = 0; i < sizeof public / sizeof public[0]; i++)
        if (!is_public(public[i]))
            fail_msg("%s is public", public[i]);
}

static bool is_held(const char *networks, size_t len, uint32_t count, const char *text)
{
    const struct job_list list = {networks, len, count};
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return worker_network_holds(&list, (const struct sockaddr *)&four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return worker_network_holds(&list, (const struct sockaddr *)&six);
}

static void test_networks(void **state)
{
    (void)state;
    static const char networks[] = "10.1.0.0/16\0fd00::/8\0" "127.0.0.1";
    static const char *const in[] = {"10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "127.0.0.1"};
    static const char *const out[] = {"10.2.0.0", "fc00::1", "127.0.0.2", "8.8.8.8"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(is_held(networks, sizeof networks, 3, in[i]));
        assert_false(is_held(networks, sizeof networks, 3, out[i]));
    }
    assert_true(is_held("0.0.0.0/0", 10, 1, "1.2.3.4"));
    assert_false(is_held("0.0.0.0/0", 10, 1, "2a00::1"));
    static const char *const bad[] = {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::/129", "a.example", "10.1/8",
                                      "0x7f.1", "10.0.0.0/8/8", "fe80::1%eth0"};
    unsigned char prefix[16];
    unsigned len;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (worker_network_parse(bad[i], prefix, &len))
            fail_msg("'%s' is no network", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
