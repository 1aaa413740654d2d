/* A rig with one DAG that has a schedule. */
#ifndef PAWL_TESTS_SCENE_H
#define PAWL_TESTS_SCENE_H

#include "rig.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE };

/* The rig's clock starts at 22:13:20 UTC. */
#define START_MS 1700000000000
#define NEXT_MINUTE (START_MS + 40000)

struct scene {
    struct rig rig;
    struct uuid dag;
};

/* One of one task; its texts must outlive it. */
struct dag *scene_new_dag(const char *cron, const char *zone, enum dag_overlap overlap, enum dag_catchup catchup);
void scene_init(struct scene *scene, const char *cron, enum dag_overlap overlap, enum dag_catchup catchup); /* UTC */
/* Of the scene's DAG; settles. */
struct command_result scene_ask(struct scene *scene, struct command command);
void scene_pause(struct scene *scene, bool paused);
const struct record_fire *scene_fire_at(const struct scene *scene, int64_t time_ms); /* NULL: no record covers it */
size_t scene_count_fires(const struct scene *scene, enum fire_outcome outcome);
void scene_commit_without_room(struct scene *scene, struct batch *batch); /* each of its groups is refused */

#endif
