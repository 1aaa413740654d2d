/* Tables, foreign text on terminals, the live block, ids, estimates. */
#include "support/check.h"

#include <string.h>

#include "cli/eta.h"
#include "cli/grid.h"
#include "cli/live.h"
#include "cli/remote.h"
#include "cli/text.h"

static int set_up(void **state)
{
    (void)state;
    cli_text_init();
    return 0;
}

/* ---- text ---- */

static void assert_shown(const char *text, const char *expected)
{
    struct buf out = BUF_INIT;
    cli_text_add(&out, text, strlen(text));
    assert_string_equal(buf_text(&out), expected);
    buf_fini(&out);
}

static void foreign_text_cannot_steer_the_terminal(void **state)
{
    (void)state;
    assert_shown("plain", "plain");
    assert_shown("caf\xc3\xa9 \xe6\x97\xa5", "caf\xc3\xa9 \xe6\x97\xa5");
    assert_shown("\033[2Jx", "\\x1b[2Jx");
    assert_shown("a\nb\tc\rd", "a\\nb\\tc\\x0dd");
    assert_shown("\x7f\x07", "\\x7f\\x07");
    assert_shown("\xc2\x9b" "31m", "\\x9b31m");             /* a C1 control */
    assert_shown("a\xe2\x80\xae" "b", "a\\u202eb");         /* right to left override */
    assert_shown("\xff\xc3", "\\xff\\xc3");
    assert_shown("\xed\xa0\x80", "\\xed\\xa0\\x80");        /* a surrogate */
}

static void width_counts_cells(void **state)
{
    (void)state;
    assert_int_equal(cli_text_width("abc", 3), 3);
    assert_int_equal(cli_text_width("\xe6\x97\xa5", 3), 2);  /* wide */
    assert_int_equal(cli_text_width("e\xcc\x81", 3), 1);     /* combining */
    assert_int_equal(cli_text_width("\033", 1), 4);          /* as shown: \x1b */
}

static void assert_cut(const char *text, size_t cells, const char *expected)
{
    struct buf out = BUF_INIT;
    size_t used = cli_text_add_cut(&out, text, strlen(text), cells);
    assert_string_equal(buf_text(&out), expected);
    assert_true(used <= cells);
    assert_int_equal(used, cli_text_width(expected, strlen(expected)));
    buf_fini(&out);
}

static void cutting_never_splits_a_character(void **state)
{
    (void)state;
    assert_cut("abcdef", 6, "abcdef");
    assert_cut("abcdef", 5, "abcd\xe2\x80\xa6");
    assert_cut("abcdef", 1, "\xe2\x80\xa6");
    assert_cut("abcdef", 0, "");
    assert_cut("\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5", 5, "\xe6\x97\xa5\xe6\x97\xa5\xe2\x80\xa6");
    assert_cut("\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5", 4, "\xe6\x97\xa5\xe2\x80\xa6");
    assert_cut("a\033[2J", 4, "a\xe2\x80\xa6");
}

/* A log in pieces of any size gives the same as in one. */
static void assert_log(const char *bytes, size_t len, bool color, const char *expected)
{
    for (size_t piece = 1; piece <= len; piece++) {
        struct buf out = BUF_INIT, held = BUF_INIT;
        for (size_t at = 0; at < len; at += piece)
            cli_text_add_log(&out, bytes + at, len - at < piece ? len - at : piece, color, &held, false);
        cli_text_add_log(&out, "", 0, color, &held, true);
        if (strcmp(buf_text(&out), expected) != 0)
            fail_msg("in pieces of %zu: %s", piece, buf_text(&out));
        assert_int_equal(held.len, 0);
        buf_fini(&out);
        buf_fini(&held);
    }
}

static void logs_keep_lines_and_colours_only(void **state)
{
    (void)state;
    static const char text[] = "a\033[1;31mred\033[0m\tx\r\n\033[2J\033]0;title\007\xc3\xa9\033[99";
    assert_log(text, sizeof text - 1, true,
               "a\033[1;31mred\033[0m\tx\n\\x1b[2J\\x1b]0;title\\x07\xc3\xa9\\x1b[99");
    assert_log(text, sizeof text - 1, false, "ared\tx\n\\x1b[2J\\x1b]0;title\\x07\xc3\xa9\\x1b[99");
    assert_log("50%\rdone\r", 9, false, "50%\\x0ddone\\x0d");
    assert_log("\xe2\x82", 2, false, "\\xe2\\x82");
}

/* ---- tables ---- */

static void print_table(const char *const *titles, const char *const *cells, unsigned columns, bool color,
                        const char *expected)
{
    struct cli_grid grid;
    struct buf out = BUF_INIT;
    cli_grid_init(&grid, titles);
    for (; *cells; cells++)
        cli_grid_add(&grid, *cells);
    cli_grid_print(&grid, columns, color, &out);
    assert_string_equal(buf_text(&out), expected);
    cli_grid_fini(&grid);
    buf_fini(&out);
}

static void tables_line_up_in_cells(void **state)
{
    (void)state;
    static const char *const titles[] = {"NAME", ">TASKS", "STATE", NULL};
    static const char *const cells[] = {"\xe6\x97\xa5\xe6\x9c\xac", "7", "failed", "plain", "1000", "", NULL};
    print_table(titles, cells, 0, false,
                "NAME   TASKS  STATE\n"
                "\xe6\x97\xa5\xe6\x9c\xac       7  failed\n"
                "plain   1000  -\n");
    static const char *const one[] = {"n", "1", "failed", NULL};
    print_table(titles, one, 0, true,
                "\033[1mNAME\033[0m  \033[1mTASKS\033[0m  \033[1mSTATE\033[0m\n"
                "n         1  \033[31mfailed\033[0m\n");
}

static void the_widest_column_gives_way_on_a_terminal(void **state)
{
    (void)state;
    static const char *const titles[] = {"ID", "CAUSE", NULL};
    static const char *const cells[] = {"12345678", "a sentence that is longer than the line", NULL};
    print_table(titles, cells, 30, false,
                "ID        CAUSE\n"
                "12345678  a sentence that is \xe2\x80\xa6\n");
    print_table(titles, cells, 5, false,       /* never below something readable */
                "ID        CAUSE\n"
                "12345678  a sentence \xe2\x80\xa6\n");
}

static void cells_cannot_break_a_table(void **state)
{
    (void)state;
    static const char *const titles[] = {"NAME", "X", NULL};
    static const char *const cells[] = {"a\nb\033c", "y", NULL};
    print_table(titles, cells, 0, false, "NAME       X\na\\nb\\x1bc  y\n");
}

/* ---- the live block ---- */

/* What a terminal of so many columns shows: rows of text, cursor movement and erasure done. */
struct screen {
    char rows[40][200];
    size_t row, column, columns;
};

static void feed(struct screen *screen, const struct buf *bytes)
{
    for (size_t i = 0; i < bytes->len; i++) {
        char c = bytes->bytes[i];
        if (c == '\r') {
            screen->column = 0;
        } else if (c == '\n') {
            screen->row++;
        } else if (c == '\033') {
            unsigned count = 0;
            assert_int_equal(bytes->bytes[++i], '[');
            for (i++; bytes->bytes[i] >= '0' && bytes->bytes[i] <= '9'; i++)
                count = count * 10 + (unsigned)(bytes->bytes[i] - '0');
            if (bytes->bytes[i] == 'A') {
                assert_true(count <= screen->row);
                screen->row -= count;
            } else {
                assert_int_equal(bytes->bytes[i], 'J');
                for (size_t row = screen->row; row < 40; row++)
                    memset(screen->rows[row] + (row == screen->row ? screen->column : 0), 0, 50);
            }
        } else {
            if (screen->column == screen->columns) {
                screen->row++;
                screen->column = 0;
            }
            assert_true(screen->row < 40);
            screen->rows[screen->row][screen->column++] = c;
        }
    }
}

static void the_block_is_redrawn_in_place(void **state)
{
    (void)state;
    struct cli_live live = {0};
    struct screen screen = {.columns = 80};
    struct buf out = BUF_INIT;
    const struct cli_live_task tasks[] = {{"extract", 2500, 1}, {"load\n\033[2J", 12000, 3}};
    struct cli_live_view view = {.name = "nightly", .run = "1f2e3d4c", .total = 10, .elapsed_ms = 65000,
                                 .left_ms = 30000, .tasks = tasks, .task_count = 2, .running = 4};
    view.counts[TASK_SUCCEEDED] = 4;
    view.counts[TASK_FAILED] = 1;
    view.counts[TASK_RUNNING] = 4;
    for (int i = 0; i < 3; i++)
        cli_live_draw(&live, &view, 80, 24, &out);
    feed(&screen, &out);
    assert_string_equal(screen.rows[0], "nightly  1f2e3d4c  1m 5s, about 30s left");
    assert_string_equal(screen.rows[1], "[############............] 5/10 done  4 running  1 failed");
    assert_string_equal(screen.rows[2], "      2s  extract");
    assert_string_equal(screen.rows[3], "     12s  load\\n\\x1b[2J  attempt 3");
    assert_string_equal(screen.rows[4], "          and 2 more");
    assert_string_equal(screen.rows[5], "");
    buf_clear(&out);
    cli_live_clear(&live, 80, &out);
    feed(&screen, &out);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(screen.rows[i], "");
    assert_int_equal(screen.row, 0);
    buf_fini(&out);
}

/* After the window became narrower the terminal has broken the old lines: all of them must go. */
static void a_narrower_window_leaves_nothing_behind(void **state)
{
    (void)state;
    struct cli_live live = {0};
    struct screen screen = {.columns = 30};
    struct buf out = BUF_INIT;
    struct cli_live_view view = {.name = "a-rather-long-name-of-a-dag", .run = "1f2e3d4c", .total = 10,
                                 .elapsed_ms = 65000, .left_ms = -1};
    cli_live_draw(&live, &view, 80, 24, &out);
    feed(&screen, &out);                        /* as the narrower terminal shows it: with broken lines */
    buf_clear(&out);
    cli_live_draw(&live, &view, 30, 24, &out);
    feed(&screen, &out);
    assert_string_equal(screen.rows[2], "");
    assert_true(strlen(screen.rows[0]) <= 32);  /* 29 cells; the mark has three bytes */
    assert_string_equal(screen.rows[1], "0/10 done");
    buf_fini(&out);
}

static void a_tiny_window_shows_nothing(void **state)
{
    (void)state;
    struct cli_live live = {0};
    struct buf out = BUF_INIT;
    struct cli_live_view view = {.name = "x", .run = "", .left_ms = -1};
    cli_live_draw(&live, &view, 5, 24, &out);
    cli_live_draw(&live, &view, 80, 2, &out);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void counts_are_words(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    uint32_t counts[TASK_STATE_COUNT] = {[TASK_SUCCEEDED] = 12, [TASK_FAILED] = 1, [TASK_PENDING] = 3};
    cli_live_add_counts(&out, counts, false);
    assert_string_equal(buf_text(&out), "12 succeeded, 1 failed, 3 pending");
    buf_fini(&out);
}

/* ---- ids ---- */

static void ids_fit_by_beginning_or_end(void **state)
{
    (void)state;
    static const char id[] = "019ac3f2-7b1e-7c44-8d21-0a1b2c3d4e5f";
    assert_true(cli_resolve_fits(id, "019a"));
    assert_true(cli_resolve_fits(id, "019ac3f27b"));
    assert_true(cli_resolve_fits(id, "019ac3f2-7b"));
    assert_true(cli_resolve_fits(id, "2C3D4E5F"));
    assert_true(cli_resolve_fits(id, "21-0a1b2c3d4e5f"));
    assert_true(cli_resolve_fits(id, id));
    assert_false(cli_resolve_fits(id, "7b1e"));
    assert_false(cli_resolve_fits(id, ""));
    assert_false(cli_resolve_fits(id, "-"));
    assert_false(cli_resolve_fits(id, "nightly"));
    assert_false(cli_resolve_fits(id, "019ac3f2-7b1e-7c44-8d21-0a1b2c3d4e5f0"));
    assert_string_equal(cli_short_id(id), "2c3d4e5f");
    assert_string_equal(cli_short_id("short"), "short");
}

/* ---- estimates ---- */

static void an_estimate_waits_until_it_means_something(void **state)
{
    (void)state;
    struct cli_eta eta = {.elapsed_ms = 10000, .ended = 2, .left = 10, .busy_ms = 4000, .slots = 2, .path = 1};
    assert_int_equal(cli_eta_estimate(&eta), -1);       /* too few */
    eta.ended = 3;
    assert_true(cli_eta_estimate(&eta) >= 0);
    eta.left = 1000;
    assert_int_equal(cli_eta_estimate(&eta), -1);       /* too few for so many */
    eta.left = 10;
    eta.elapsed_ms = 500;
    assert_int_equal(cli_eta_estimate(&eta), -1);       /* too early */
    eta.left = 0;
    assert_int_equal(cli_eta_estimate(&eta), 0);
}

static void an_estimate_knows_slots_and_chains(void **state)
{
    (void)state;
    struct cli_eta eta = {.elapsed_ms = 10000, .ended = 10, .left = 20, .busy_ms = 20000, .slots = 2, .path = 1};
    assert_int_equal(cli_eta_estimate(&eta), 20000);    /* 20 tasks of 2 s on 2 slots */
    eta.slots = 100;
    assert_int_equal(cli_eta_estimate(&eta), 2000);     /* all at once */
    eta.path = 20;
    assert_int_equal(cli_eta_estimate(&eta), 40000);    /* one after the other, whatever the slots */
    eta.path = 1;
    eta.slots = 2;
    eta.running_ms = 4000;
    assert_int_equal(cli_eta_estimate(&eta), 18000);    /* part of it is done */
    eta.running_ms = 1000000;
    assert_int_equal(cli_eta_estimate(&eta), 2000);     /* never negative */
    eta = (struct cli_eta){.elapsed_ms = 10000, .ended = 10, .left = 20};
    assert_int_equal(cli_eta_estimate(&eta), 20000);    /* only the rate is known */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_text_cannot_steer_the_terminal),
        cmocka_unit_test(width_counts_cells),
        cmocka_unit_test(cutting_never_splits_a_character),
        cmocka_unit_test(logs_keep_lines_and_colours_only),
        cmocka_unit_test(tables_line_up_in_cells),
        cmocka_unit_test(the_widest_column_gives_way_on_a_terminal),
        cmocka_unit_test(cells_cannot_break_a_table),
        cmocka_unit_test(the_block_is_redrawn_in_place),
        cmocka_unit_test(a_narrower_window_leaves_nothing_behind),
        cmocka_unit_test(a_tiny_window_shows_nothing),
        cmocka_unit_test(counts_are_words),
        cmocka_unit_test(ids_fit_by_beginning_or_end),
        cmocka_unit_test(an_estimate_waits_until_it_means_something),
        cmocka_unit_test(an_estimate_knows_slots_and_chains),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
