"""tools/tidy on small trees: a clean one gives nothing, and each planted fault its finding."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLEAN = {
    "src/low/low.h": "#ifndef LOW_H\n#define LOW_H\nint low_add(int left, int right);\n#endif\n",
    "src/low/low.c": '#include "low/low.h"\n\nint low_add(int left, int right)\n{\n'
                     "    return left + right; /* strcpy(a, b) in words is no call */\n}\n",
    "src/high/high.c": '#include "low/low.h"\n\nstatic const char *const words[] = {"a = {", "b"};\n'
                       "static int move(void) { return low_add(1, words[0][0]); }\n"
                       "int high_go(void);\nint high_go(void)\n{\n    return move();\n}\n",
    "src/high/mover.c": "struct task { int state; };\nvoid high_move(struct task *task);\n"
                        "void high_move(struct task *task)\n{\n    task->state = 1;\n}\n",
    "src/low/deep/inner.h": "struct inner;\n",
}
LAYERS = """uses high: low
uses low:
private low/deep: low
state src/high/mover.c:
"""


def function_of(lines, name="high_long"):
    body = "    (void)0;\n" * (lines - 3)
    return f"void {name}(void)\n{{\n{body}}}\n"


class TidyTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def run_tidy(self, extra, layers=LAYERS):
        with open(os.path.join(TOP, "tools/layers"), encoding="utf-8") as real:
            bans = "".join(line for line in real if line.startswith(("ban ", "word ")))
        self.write("tools/layers", layers + bans)
        for path, text in {**CLEAN, **extra}.items():
            self.write(path, text)
        result = subprocess.run([sys.executable, os.path.join(TOP, "tools/tidy"), "--root",
                                 self.root], capture_output=True, text=True, check=False)
        lines = result.stdout.splitlines()
        self.assertEqual(result.returncode, 1 if lines else 0, result.stderr)
        return lines

    def assert_finds(self, extra, *expected):
        """Exactly these findings, each given as a beginning of its line."""
        lines = self.run_tidy(extra)
        self.assertEqual(len(lines), len(expected), lines)
        for line, beginning in zip(lines, expected):
            self.assertTrue(line.startswith(beginning), f"{line!r} is not {beginning!r}")

    def test_clean_tree(self):
        self.assert_finds({})

    def test_upward_edge(self):
        self.assert_finds({"src/high/high.h": "int high_go(void);\n",
                           "src/low/up.c": '\n#include "high/high.h"\n',
                           "src/high/high.c": '#include "high/high.h"\n'},
                          "src/low/up.c:2: [edge] low may not use high/high.h")

    def test_single_header_edge(self):
        layers = LAYERS.replace("uses high: low", "uses high: low/low.h")
        lines = self.run_tidy({"src/low/other.h": "struct other;\n",
                               "src/high/two.c": '#include "low/low.h"\n#include "low/other.h"\n'},
                              layers)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("src/high/two.c:2: [edge]", lines[0])

    def test_private_folder(self):
        self.assert_finds({"src/low/fine.c": '#include "low/deep/inner.h"\n',
                           "src/high/nosy.c": '#include "low/deep/inner.h"\n'},
                          "src/high/nosy.c:1: [edge] low/deep is private")

    def test_unknown_module(self):
        self.assert_finds({"src/stray/a.c": "static int a;\n"},
                          "src/stray/a.c:1: [module] module stray is not in tools/layers")

    def test_include_not_from_src(self):
        self.assert_finds({"src/low/near.c": '#include "low.h"\n'}, "src/low/near.c:1: [include]")

    def test_own_header_first(self):
        self.assert_finds({"src/low/low.c": '#include <stdio.h>\n#include "low/low.h"\n'},
                          "src/low/low.c:1: [own-header]")

    def test_include_cycle(self):
        self.assert_finds({"src/low/a.h": '#pragma once\n#include "low/b.h"\n',
                           "src/low/b.h": '#pragma once\n#include "low/a.h"\n'},
                          "src/low/b.h:2: [include-cycle] low/a.h -> low/b.h -> low/a.h")

    def test_function_size(self):
        self.assert_finds({"src/high/ok.c": function_of(70)})
        self.assert_finds({"src/high/ok.c": "\n" + function_of(71)},
                          "src/high/ok.c:2: [function-size] high_long has 71 lines")

    def test_file_size(self):
        self.assert_finds({"src/high/big.c": "\n" * 800})
        self.assert_finds({"src/high/big.c": "\n" * 801}, "src/high/big.c:801: [file-size]")

    def test_form(self):
        self.assert_finds({"src/high/form.c": "/*" + "x" * 120 + "*/\n\n/* \t */\n/* */ \n"},
                          "src/high/form.c:1: [line-width]", "src/high/form.c:3: [tab]",
                          "src/high/form.c:4: [blank-end]")

    def test_banned_calls(self):
        calls = ["strcpy(a, b)", "strcat(a, b)", "sprintf(a, b)", "gets(a)", "atoi(a)",
                 "strtok(a, b)", "system(a)", "popen(a, b)", "fork()", "vfork()", "alloca(1)",
                 "waitpid(-1, a, b)", "signal(1, a)", "usleep(1)", "sleep(1)"]
        for call in calls:
            with self.subTest(call=call):
                self.assert_finds({"src/high/bad.c": f"static int a =\n{call};\n"},
                                  f"src/high/bad.c:2: [banned] {call.split('(')[0]}")

    def test_banned_in_tests(self):
        wait = "time." + "sleep(1)"
        self.assert_finds({"tests/unit/low/test_low.c": "static int a = sleep(1);\n",
                           "tests/blackbox/test_it.py": f"{wait}\n"},
                          "tests/blackbox/test_it.py:1: [banned] time.sleep",
                          "tests/unit/low/test_low.c:1: [banned] sleep")

    def test_not_banned(self):
        self.assert_finds({"src/high/fine.c": "static int a = x.signal(1) + high_fork(2);\n"
                                              "static const char *b = \"system(x)\";\n"})

    def test_unfinished(self):
        word = "TO" + "DO"
        self.assert_finds({"src/high/x.c": f"static int a; /* {word} */\n"},
                          "src/high/x.c:1: [word]")

    def test_state_outside_mover(self):
        self.assert_finds({"src/high/s.c": "static int go(struct task *task)\n{\n"
                                           "    struct task other = {.state = 1};\n"
                                           "    if (task->state == 2)\n        return 0;\n"
                                           "    task->state = 3;\n    tasks[1].state = 2;\n}\n"},
                          "src/high/s.c:6: [state]", "src/high/s.c:7: [state]")

    def test_prefix(self):
        self.assert_finds({"src/high/n.c": "int go(void)\n{\n    return 0;\n}\n\n"
                                           "const char *const names[] = {\"a\"};\nint count;\n"
                                           "extern int elsewhere;\nstruct high { int a; };\n"
                                           "typedef int word;\nstatic int (*hook)(int);\n"
                                           "__attribute__((noreturn)) void stop(int a)\n{\n}\n"},
                          "src/high/n.c:1: [prefix] exported function go",
                          "src/high/n.c:6: [prefix] exported variable names",
                          "src/high/n.c:7: [prefix] exported variable count",
                          "src/high/n.c:12: [prefix] exported function stop")

    def test_prefix_of_file(self):
        layers = LAYERS + "prefix low: @file\n"
        lines = self.run_tidy({"src/low/buf.c": "int buf_a(void)\n{\n}\nint low_b(void)\n{\n}\n"},
                              layers)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("src/low/buf.c:4: [prefix]", lines[0])

    def test_header_code(self):
        self.assert_finds({"src/high/h.h": "int high_two(void);\nint high_two(void)\n{\n"
                                           "    return 2;\n}\n"},
                          "src/high/h.h:2: [header-code] high_two")

    def test_header_alone(self):
        self.assert_finds({"src/high/h.h": "void high_use(struct unknown_type x, size_t len);\n"},
                          "src/high/h.h:1: [header-alone]")


if __name__ == "__main__":
    unittest.main()
