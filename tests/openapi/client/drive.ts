// What a program does with the generated client: make a DAG, trigger it, watch it end, meet an error.
//     node drive.js http://127.0.0.1:PORT   prints one line of JSON
import { ApiError, DagsService, DlqService, HealthService, OpenAPI, RunsService } from './generated';
import type { Dag, Run, RunStatus } from './generated';

declare const process: { argv: string[] };
declare const console: { log(text: string): void };

async function waitForEnd(runId: string): Promise<RunStatus> {
    // The stream of a run ends with the run; the generated client has no streams.
    const reply = await fetch(`${OpenAPI.BASE}/api/v1/runs/${runId}/events`);
    await reply.text();
    return RunsService.getRun({ runId });
}

async function errorOf(call: Promise<unknown>): Promise<string> {
    try {
        await call;
        return 'none';
    } catch (error) {
        if (error instanceof ApiError)
            return `${error.status} ${error.body.code}`;
        throw error;
    }
}

async function main(): Promise<void> {
    OpenAPI.BASE = process.argv[2];
    OpenAPI.ENCODE_PATH = encodeURIComponent; // its default leaves `/` as it is
    const yaml = 'name: x\ntasks:\n- {id: a/b, type: shell, command: echo hello}\n- {id: c, type: shell, command: exit 3}\n';
    const dag: Dag = await DagsService.createDag({ requestBody: { name: 'generated', yaml } });
    const twice = await errorOf(DagsService.createDag({ requestBody: { name: 'generated', yaml } }));
    const run: Run = await RunsService.triggerDag({ dagId: dag.id, idempotencyKey: 'one' });
    const again: Run = await RunsService.triggerDag({ dagId: dag.id, idempotencyKey: 'one' });
    const status = await waitForEnd(run.runId);
    const log: string = await RunsService.getTaskLog({ runId: run.runId, taskId: 'a/b' });
    const listed = await RunsService.listRuns({ dagId: dag.id, limit: 5 });
    const letters = await DlqService.listDeadLetters({ status: 'pending' });
    const health = await HealthService.getHealth();
    console.log(JSON.stringify({
        dag: [dag.name, dag.taskCount, dag.version],
        twice,
        same: run.runId === again.runId,
        state: status.state,
        tasks: status.tasks.map((task) => [task.taskId, task.state, task.exitCode]),
        log,
        listed: listed.map((one) => one.runId === run.runId),
        letters: letters.map((letter) => letter.errorType),
        missing: await errorOf(DagsService.getDag({ dagId: run.runId })),
        version: typeof health.version,
    }));
}

void main();
