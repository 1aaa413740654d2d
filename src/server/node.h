/* DATA/node: the id of the node that a data directory is, made at its first start. */
#ifndef PAWL_SERVER_NODE_H
#define PAWL_SERVER_NODE_H

#include "base/error.h"
#include "base/uuid.h"

/* The caller holds the directory's lock. ERROR_IO. */
int server_node_id(const char *data_dir, struct uuid *ret_id, struct error *err);

#endif
