/* What a command, an operand and an option are, and what a command gets to work with. */
#ifndef PAWL_CLI_COMMAND_H
#define PAWL_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

struct cli;

/* What the value of an option must be. */
enum cli_kind {
    CLI_FLAG,       /* none; as a setting: true or false */
    CLI_TEXT,
    CLI_PATH,       /* a file */
    CLI_FOLDER,
    CLI_NUMBER,     /* min..max */
    CLI_DURATION,   /* min..max in ms; 0 is 0s */
    CLI_BYTES,      /* min..max; an integer, KiB, MiB or GiB */
    CLI_CHOICE,     /* one of choices */
    CLI_ADDRESS,    /* HOST:PORT */
    CLI_SECRET,     /* NAME=file:PATH or NAME=env:VARIABLE */
    CLI_VARIABLE,   /* NAME=VALUE */
    CLI_URL,
    CLI_STORE_URL,
    CLI_NETWORK,    /* 10.0.0.0/8 */
    CLI_PREFIX,     /* /folder, of paths of requests */
};

/* Every option of every command; options.c says what each is. */
enum cli_option_id {
    CLI_OPTION_END, /* ends a list of options */
    CLI_HELP,
    CLI_VERSION,
    CLI_CONFIG,
    CLI_DATA,
    CLI_SERVER,
    CLI_TOKEN_FILE,
    CLI_CA_FILE,
    CLI_LISTEN,
    CLI_WORKERS,
    CLI_SLOTS,
    CLI_STORE,
    CLI_LEASE,
    CLI_DURABILITY,
    CLI_GRACE,
    CLI_DRAIN,
    CLI_LOG_BYTES_MAX,
    CLI_KEEP_AGE,
    CLI_KEEP_RUNS,
    CLI_KEEP_BYTES,
    CLI_KEEP_LETTERS,
    CLI_KEEP_LETTERS_AGE,
    CLI_SECRETS,
    CLI_HTTP_DENY_PRIVATE,
    CLI_HTTP_NETWORKS,
    CLI_RUN_AS,
    CLI_RUN_AS_ALLOWED,
    CLI_RUN_AS_WORK,
    CLI_ALLOWED_HOSTS,
    CLI_BASE_PATH,
    CLI_REQUIRE_TOKEN,
    CLI_ALLOW_ANONYMOUS,
    CLI_ALLOW_PLAIN_HTTP,
    CLI_TLS_CERT,
    CLI_TLS_KEY,
    CLI_HTTP_THREADS,
    CLI_REQUEST_TIMEOUT,
    CLI_IDLE_TIMEOUT,
    CLI_CONNECTIONS_MAX,
    CLI_WAITING_TASKS_MAX,
    CLI_ACTIVE_RUNS_MAX,
    CLI_DIE_WITH_PARENT,
    CLI_LOG_LEVEL,
    CLI_LOG_FORMAT,
    CLI_PRINT_CONFIG,
    CLI_OUTPUT,
    CLI_KILL,
    CLI_SOURCE,
    CLI_LIMIT,
    CLI_BY_DAG,
    CLI_RUN_STATE,
    CLI_TRIGGER,
    CLI_CREATED_AFTER,
    CLI_CREATED_BEFORE,
    CLI_RUN_ERROR,
    CLI_TASK_STATE,
    CLI_LETTER_STATUS,
    CLI_WAIT,
    CLI_TIMEOUT,
    CLI_IDEMPOTENCY_KEY,
    CLI_FROM,
    CLI_TASK,
    CLI_LATEST,
    CLI_FOLLOW,
    CLI_ATTEMPT,
    CLI_REASON,
    CLI_CHANGE_COMMAND,
    CLI_CHANGE_ENV,
    CLI_NOTES,
    CLI_RESOLVED_BY,
    CLI_ALL_LETTERS,
    CLI_LETTER_ERROR,
    CLI_MAX_LETTERS,
    CLI_DRY_RUN,
    CLI_ROLE,
    CLI_TOKEN_NAME,
    CLI_EXPIRES,
    CLI_TZ,
    CLI_SINCE,
    CLI_TO,
    CLI_COUNT,
    CLI_MAX_INSTANTS,
    CLI_PARALLEL,
    CLI_AGAIN,
    CLI_OPTION_COUNT
};

struct cli_option {
    const char *name;               /* without the dashes */
    char letter;                    /* of the short form; 0: none */
    enum cli_kind kind;
    const char *value;              /* what help calls the value: "DURATION" */
    const char *summary;            /* one line, no full stop */
    const char *const *choices;     /* NULL-terminated */
    int64_t min;
    int64_t max;
    bool list;                      /* may be given several times */
    /* A setting: also PAWL_NAME in the environment and `name = value` in the config file. The value when none says
     * anything, "" when that is nothing; NULL when the option is no setting. */
    const char *preset;
};

enum cli_operand_kind { CLI_OPERAND_FILE, CLI_OPERAND_DAG, CLI_OPERAND_RUN, CLI_OPERAND_TASK, CLI_OPERAND_WORKER,
                        CLI_OPERAND_LETTER, CLI_OPERAND_TOKEN, CLI_OPERAND_COMMAND, CLI_OPERAND_SHELL,
                        CLI_OPERAND_PLACE };

struct cli_operand {
    const char *name;               /* as help shows it: "FILE"; NULL ends the list */
    enum cli_operand_kind kind;
    bool optional;
    bool list;                      /* takes all that follow; the last one only */
};

struct cli_example {
    const char *line;               /* without "pawl " */
    const char *text;
};

enum { CLI_OPERANDS_MAX = 2, CLI_EXAMPLES_MAX = 4 };

struct cli_command {
    const char *name;               /* one word, or two: "runs list" */
    const char *summary;            /* one line, no full stop */
    const char *text;               /* paragraphs: an empty line between two; NULL: the summary says it */
    struct cli_operand operands[CLI_OPERANDS_MAX + 1];
    const enum cli_option_id *options; /* besides --help */
    struct cli_example examples[CLI_EXAMPLES_MAX + 1];
    /* Returns 0 or an error code, which becomes the exit status; sets cli->exit_status for the others. */
    int (*run)(struct cli *cli, struct error *err);
};

/* A family of commands: "runs". Its name alone means its first command. */
struct cli_family {
    const char *name;
    const char *summary;
};

extern const struct cli_option cli_options[CLI_OPTION_COUNT];
extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;
extern const struct cli_family cli_families[];
extern const size_t cli_family_count;

/* Where a value came from. */
enum cli_origin { CLI_ORIGIN_NONE, CLI_ORIGIN_DEFAULT, CLI_ORIGIN_CONFIG, CLI_ORIGIN_ENVIRONMENT, CLI_ORIGIN_FLAG };

struct cli_value {
    const char **items;             /* in the arena; one item unless the option is a list */
    size_t count;
    enum cli_origin origin;
    uint32_t line;                  /* of the config file */
};

/* What is known of where output goes. */
struct cli_screen {
    bool out_terminal;
    bool err_terminal;
    bool out_color;
    bool err_color;
};

struct cli {
    const struct cli_command *command;
    struct cli_value values[CLI_OPTION_COUNT];
    const char **operands;
    size_t operand_count;
    const char *config_path;        /* the config file that was read; NULL: none */
    struct cli_screen screen;
    struct buf out;                 /* for stdout; cli_flush writes it, and the end of the command does */
    struct buf hint;                /* shown below an error, one suggestion a line */
    int interrupt_fd;               /* signalfd of SIGINT, SIGTERM and SIGHUP after cli_catch_signals; or -1 */
    bool out_broken;                /* nobody reads stdout any more */
    int exit_status;                /* when no error says another */
    struct arena arena;
};

/* Values after cli_settings_merge. */
bool cli_given(const struct cli *cli, enum cli_option_id id);           /* has any value, a default too */
bool cli_flag(const struct cli *cli, enum cli_option_id id);
const char *cli_text(const struct cli *cli, enum cli_option_id id);     /* NULL when there is none */
int64_t cli_number(const struct cli *cli, enum cli_option_id id);       /* numbers, ms, bytes; 0 when there is none */
bool cli_wants_json(const struct cli *cli);
const char *cli_operand(const struct cli *cli, size_t index);           /* NULL when it was not given */

/* Says something to the person on stderr: "pawl: " in front, a line break behind; foreign text is escaped. */
void cli_say(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes a block as it is to stderr, best effort. */
void cli_write_err(const struct buf *text);
/* Adds a suggestion to be shown below the error that the command is about to return. */
void cli_hint(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes what cli->out holds. ERROR_IO when stdout cannot be written; a reader that went away is no error, but
 * cli->out_broken. ERROR_INTERRUPTED when an interrupt comes while stdout blocks. */
int cli_flush(struct cli *cli, struct error *err);
/* From here on SIGINT, SIGTERM and SIGHUP make cli->interrupt_fd readable instead of ending the process. */
void cli_catch_signals(struct cli *cli);
/* The value check of an option, for flags, environment and config file alike. ERROR_USAGE says what was expected. */
int cli_option_check(const struct cli_option *option, const char *text, struct error *err);
/* The number of a text that cli_option_check accepted. */
int64_t cli_option_number(const struct cli_option *option, const char *text);

#endif
