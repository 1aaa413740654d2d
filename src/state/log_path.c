#include "state/log_path.h"

void state_log_folder(struct buf *out, const char *data_dir, struct uuid run_id)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(run_id, id);
    buf_add_text(out, data_dir);
    buf_add_text(out, "/logs/");
    buf_add_text(out, id + UUID_TEXT_LEN - 2);
    buf_add_char(out, '/');
    buf_add(out, id, UUID_TEXT_LEN);
}

void state_log_path(struct buf *out, const char *data_dir, struct uuid run_id, uint32_t task, uint32_t number)
{
    state_log_folder(out, data_dir, run_id);
    buf_add_char(out, '/');
    buf_add_uint(out, task);
    buf_add_char(out, '.');
    buf_add_uint(out, number);
    buf_add_text(out, ".log");
}
