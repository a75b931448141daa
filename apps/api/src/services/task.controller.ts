import { Body, Controller, Get, Param, Post, Put } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { findTask, matches, Rejected } from '#domain';
import type { Json } from '#events';
import { Documented, extensions, idOnly, listOf, paging, ref, typesAsked } from '../http/documented.js';
import { Sent, type SentRequest } from '../http/sent-request.js';
import { RequiresMode } from '../server-mode/mode.guard.js';
import { AnyJson, ContractBody, EndTaskBody, JsonObject, StartTaskBody } from './bodies.js';
import { extensionsAsked } from './extensions-parameter.js';
import { lifetimeIn, outcomeOf, refuseOtherId, taskStartOf } from './from-body.js';
import { ExtensionName } from './path-parameters.js';
import { taskAnswer, type JsonObject as Answer } from './service.answer.js';
import { ServiceCalls, type Status } from './service-calls.js';

const unknown = { 404: 'There is no such service or task.' };
const order = 'Ascending by `started.timestamp`, then by the time of recording, then by id.';
const listQuery = [
  typesAsked('task_types'),
  { name: 'state_id', type: String, description: 'Only tasks of this state, or of these, separated by commas.' },
  extensions,
  ...paging,
];

@ApiTags('tasks')
@Controller('services/:service_id/tasks')
export class TaskController {
  constructor(private readonly calls: ServiceCalls) {}

  @Post('start')
  @RequiresMode('production')
  @Documented({
    id: 'K1',
    summary: 'Start a task',
    description: '`state_id` must be a state of the same service.',
    status: 201,
    answer: idOnly('task_id'),
    location: 'Path of the task.',
    errors: { 404: 'There is no such service or state.', 409: 'The id is taken (own ids only).' },
    changes: true,
  })
  async start(
    @Param('service_id') service_id: string,
    @Body(ContractBody) body: StartTaskBody,
    @Sent() sent: SentRequest,
  ) {
    refuseOtherId('service_id', body.service_id, service_id);
    const now = this.calls.now();
    const made = this.calls.startedId(body.task_id, () => this.calls.ids.part(service_id));
    const { task_id = made } = await this.calls.execute(sent, {
      type: 'StartTask',
      data: Object.assign({ service_id, task_id: made }, taskStartOf(body, now)),
      ...lifetimeIn(body, now),
    });
    sent.location('services', service_id, 'tasks', task_id);
    return { task_id };
  }

  @Post(':task_id/end')
  @RequiresMode('production')
  @Documented({
    id: 'K2',
    summary: 'Complete a task',
    description: 'Fields of other events are tolerated.',
    status: 204,
    errors: { ...unknown, 409: 'It is completed already; the message says when.' },
    changes: true,
  })
  async end(
    @Param('service_id') service_id: string,
    @Param('task_id') task_id: string,
    @Body(ContractBody) body: EndTaskBody,
    @Sent() sent: SentRequest,
  ): Promise<void> {
    refuseOtherId('service_id', body.service_id, service_id);
    refuseOtherId('task_id', body.task_id, task_id);
    const now = this.calls.now();
    await this.calls.execute(sent, {
      type: 'EndTask',
      data: Object.assign({ service_id, task_id }, outcomeOf(body, now)),
      ...lifetimeIn(body, now),
    });
  }

  @Get()
  @RequiresMode('production')
  @Documented({
    id: 'K3_all',
    summary: 'Query tasks',
    description: order,
    status: 200,
    answer: listOf('Task'),
    errors: unknown,
    query: listQuery,
  })
  all(@Param('service_id') serviceId: string, @Sent() sent: SentRequest) {
    return this.list(serviceId, 'all', sent);
  }

  @Get('active')
  @RequiresMode('production')
  @Documented({
    id: 'K3_active',
    summary: 'Query active tasks',
    description: order,
    status: 200,
    answer: listOf('Task'),
    errors: unknown,
    query: listQuery,
  })
  active(@Param('service_id') serviceId: string, @Sent() sent: SentRequest) {
    return this.list(serviceId, 'active', sent);
  }

  @Get('completed')
  @RequiresMode('production')
  @Documented({
    id: 'K3_completed',
    summary: 'Query completed tasks',
    description: order,
    status: 200,
    answer: listOf('Task'),
    errors: unknown,
    query: listQuery,
  })
  completed(@Param('service_id') serviceId: string, @Sent() sent: SentRequest) {
    return this.list(serviceId, 'completed', sent);
  }

  private async list(serviceId: string, status: Status, sent: SentRequest): Promise<readonly Answer[]> {
    const asked = extensionsAsked(sent.query.list('extensions'));
    const types = this.calls.typesAsked(sent, 'Task.type', 'task_types');
    const states = sent.query.list('state_id');
    const service = await this.calls.service(sent, serviceId);
    return this.calls
      .partsAsked(
        sent,
        service.tasks,
        status,
        ({ task_type, state_id }) => matches(task_type, types) && matches(state_id, states),
      )
      .map((task) => taskAnswer(service, task, asked, this.calls.enumerated(sent)));
  }

  @Get(':task_id')
  @RequiresMode('production')
  @Documented({
    id: 'K4',
    summary: 'Query a task',
    status: 200,
    answer: ref('Task'),
    errors: unknown,
    query: [extensions],
  })
  async get(@Param('service_id') serviceId: string, @Param('task_id') taskId: string, @Sent() sent: SentRequest) {
    const asked = extensionsAsked(sent.query.list('extensions'));
    const service = await this.calls.service(sent, serviceId, (found) => findTask(found, taskId) !== undefined);
    const task = findTask(service, taskId);
    if (!task) throw new Rejected('task-not-found', `There are no task found for : ${taskId}`);
    return taskAnswer(service, task, asked, this.calls.enumerated(sent));
  }

  @Put(':task_id/extensions/:ext_name')
  @RequiresMode('production')
  @Documented({
    id: 'K5',
    summary: 'Update an extension of a task',
    description: 'Replaces the whole value, or creates the extension.',
    status: 200,
    errors: unknown,
    body: {},
    changes: true,
  })
  async replaceExtension(
    @Param('service_id') service_id: string,
    @Param('task_id') task_id: string,
    @Param('ext_name', ExtensionName) name: string,
    @Body(AnyJson) value: Json,
    @Sent() sent: SentRequest,
  ): Promise<void> {
    await this.calls.execute(sent, { type: 'ReplaceExtension', data: { service_id, task_id, name, value } });
  }

  @Put(':task_id/extensions/:ext_name/merge')
  @RequiresMode('production')
  @Documented({
    id: 'K6',
    summary: 'Merge an extension of a task',
    description: 'As for a service.',
    status: 200,
    errors: unknown,
    body: { type: 'object', additionalProperties: {} },
    changes: true,
  })
  async mergeExtension(
    @Param('service_id') service_id: string,
    @Param('task_id') task_id: string,
    @Param('ext_name', ExtensionName) name: string,
    @Body(JsonObject) value: { readonly [name: string]: Json },
    @Sent() sent: SentRequest,
  ): Promise<void> {
    await this.calls.execute(sent, { type: 'MergeExtension', data: { service_id, task_id, name, value } });
  }
}
