/* What a secret may look like in a log, and that it does not matter where the output is cut into pieces. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "worker/mask.h"

static struct worker_mask *mask_of(const char *values, size_t len, uint32_t count)
{
    const struct job_list list = {.bytes = values, .len = len, .count = count};
    return worker_mask_new(&list);
}

#define MASK(values, count) mask_of(values, sizeof(values), count)

static void expect(struct worker_mask *mask, const char *text, const char *shown)
{
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++) {
        struct buf out = BUF_INIT;
        worker_mask_feed(mask, text, cut, &out);
        worker_mask_feed(mask, text + cut, len - cut, &out);
        worker_mask_end(mask, &out);
        assert_string_equal(buf_text(&out), shown);
        buf_fini(&out);
    }
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < len; i++)
        worker_mask_feed(mask, text + i, 1, &out);
    worker_mask_end(mask, &out);
    assert_string_equal(buf_text(&out), shown);
    buf_clear(&out);
    worker_mask_text(mask, text, &out);
    assert_string_equal(buf_text(&out), shown);
    buf_fini(&out);
}

static void test_values(void **state)
{
    (void)state;
    struct worker_mask *mask = MASK("hunter2hunter\0swordfish", 2);
    expect(mask, "", "");
    expect(mask, "nothing of it\n", "nothing of it\n");
    expect(mask, "hunter2hunter", "***");
    expect(mask, "<hunter2hunter>\n", "<***>\n");
    expect(mask, "swordfishhunter2hunterswordfish.", "*********.");
    expect(mask, "hunter2hunter2hunter\n", "***\n"); /* it overlaps itself */
    expect(mask, "hunter2hunte\nhunter2hunter\n", "hunter2hunte\n***\n");
    expect(mask, "hhhunter2hunter", "hh***");
    expect(mask, "the end: swordf", "the end: ***"); /* killed in the middle of it */
    expect(mask, "the end: swo", "the end: swo");    /* shorter than any secret */
    worker_mask_free(mask);
}

static void test_values_that_overlap(void **state)
{
    (void)state;
    struct worker_mask *mask = MASK("abcdef\0defghi\0abcd", 3);
    expect(mask, "abcdefghi.", "***.");
    expect(mask, "abcd.", "***.");
    expect(mask, "abcdabcdef.", "******.");
    expect(mask, "abc.", "abc.");
    worker_mask_free(mask);
}

static void test_short_values_are_left(void **state)
{
    (void)state;
    assert_null(MASK("abc\0", 2));
    assert_null(mask_of(NULL, 0, 0));
}

static void test_lines(void **state)
{
    (void)state;
    struct worker_mask *mask = MASK("-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\r\nshort\nq83vEjRWeJA=\n", 1);
    expect(mask, "  | MIIEowIBAAKCAQEA\n  | q83vEjRWeJA=\n  | short\n", "  | ***\n  | ***\n  | short\n");
    worker_mask_free(mask);
}

static void test_other_forms(void **state)
{
    (void)state;
    struct worker_mask *mask = MASK("p\xc3\xa4ss/w?rd\"1", 1);
    /* base64 of user:VALUE, of x:VALUE! and of VALUE; by the base64 program */
    expect(mask, "Authorization: Basic dXNlcjpww6Rzcy93P3JkIjE=", "Authorization: Basic dXNlcjp***E=");
    expect(mask, "eDpww6Rzcy93P3JkIjEh", "eDp***Eh");
    expect(mask, "cMOkc3Mvdz9yZCIx", "***");
    expect(mask, "p%C3%A4ss%2Fw%3Frd%221 p%c3%a4ss/w%3frd%221", "*** ***");
    expect(mask, "{\"a\":\"p\xc3\xa4ss/w?rd\\\"1\"}", "{\"a\":\"***\"}");
    worker_mask_free(mask);
    mask = MASK("\xfb\xff\xfe\xfb\xef", 1);
    expect(mask, "-__---8= == +//+++8=", "***8= == ***8=");
    worker_mask_free(mask);
}

/* Random texts of few letters, so that beginnings of values are everywhere: no value is left, nothing else is lost, and
 * pieces change nothing. */
static void test_random(void **state)
{
    (void)state;
    static const char values[] = "abab\0ababac\0bacab\0ccccc";
    struct worker_mask *mask = MASK(values, 4);
    srand(7);
    for (int round = 0; round < 20000; round++) {
        char text[64];
        size_t len = (size_t)rand() % 60, fed = 0;
        for (size_t i = 0; i < len; i++)
            text[i] = (char)('a' + rand() % 3);
        text[len] = '\0';
        struct buf whole = BUF_INIT, pieces = BUF_INIT;
        worker_mask_text(mask, text, &whole);
        while (fed < len) {
            size_t piece = 1 + (size_t)rand() % 7;
            piece = piece < len - fed ? piece : len - fed;
            worker_mask_feed(mask, text + fed, piece, &pieces);
            fed += piece;
        }
        worker_mask_end(mask, &pieces);
        assert_string_equal(buf_text(&whole), buf_text(&pieces));
        const char *at = values;
        bool any = false;
        for (int i = 0; i < 4; i++, at += strlen(at) + 1) {
            any = any || strstr(text, at);
            assert_null(strstr(whole.bytes ? buf_text(&whole) : "", at));
        }
        if (!any && !strstr(buf_text(&whole), MASK_TEXT)) /* else the end is a beginning */
            assert_string_equal(buf_text(&whole), text);
        buf_fini(&whole);
        buf_fini(&pieces);
    }
    worker_mask_free(mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_values_that_overlap),
        cmocka_unit_test(test_short_values_are_left),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
