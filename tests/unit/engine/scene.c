#include "scene.h"

#include "support/check.h"

struct dag *scene_new_dag(const char *cron, const char *zone, enum dag_overlap overlap, enum dag_catchup catchup)
{
    struct dag *dag = graph_new(1, NULL, 0);
    dag->schedule = (struct dag_schedule){cron, zone, overlap, catchup};
    return dag;
}

struct command_result scene_ask(struct scene *scene, struct command command)
{
    struct rig_answer answer;
    command.dag_id = scene->dag;
    rig_command(&scene->rig, &command, &answer);
    rig_settle(&scene->rig);
    assert_true(answer.done);
    return answer.result;
}

void scene_init(struct scene *scene, const char *cron, enum dag_overlap overlap, enum dag_catchup catchup)
{
    *scene = (struct scene){0};
    rig_init(&scene->rig, 0);
    const struct command create = {
        .kind = COMMAND_DAG_CREATE, .name = "s", .dag = scene_new_dag(cron, "UTC", overlap, catchup)};
    scene->dag = scene_ask(scene, create).dag_id;
}

void scene_pause(struct scene *scene, bool paused)
{
    assert_int_equal(scene_ask(scene, (struct command){.kind = COMMAND_DAG_PAUSE, .paused = paused}).error.code, 0);
}

const struct record_fire *scene_fire_at(const struct scene *scene, int64_t time_ms)
{
    return model_fire(&scene->rig.model, scene->dag, time_ms);
}

size_t scene_count_fires(const struct scene *scene, enum fire_outcome outcome)
{
    size_t count = 0;
    for (size_t i = 0; i < scene->rig.model.fire_count; i++)
        count += scene->rig.model.fires[i].outcome == outcome;
    return count;
}

void scene_commit_without_room(struct scene *scene, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->group_count; i++) {
        batch->verdicts[i].refused = true;
        batch->verdicts[i].code = ERROR_STORE_FULL;
    }
    engine_committed(scene->rig.engine, batch, scene->rig.now);
    record_batch_free(batch);
    engine_check(scene->rig.engine);
}
