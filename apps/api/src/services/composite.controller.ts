import { Body, Controller, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Resource } from '#domain';
import { Documented, ref } from '../http/documented.js';
import { Refused } from '../http/refused.js';
import { Sent, type SentRequest } from '../http/sent-request.js';
import { RequiresMode } from '../server-mode/mode.guard.js';
import {
  CompositeBody,
  ContractBody,
  type CompositeElementBody,
  type StartStateBody,
  type StartTaskBody,
} from './bodies.js';
import { lifetimeIn, serviceStartOf, stateStartOf, taskStartOf } from './from-body.js';
import { ServiceCalls } from './service-calls.js';
import { StartComposite, type CompositeElement, type RequestContext } from './service.messages.js';

@ApiTags('composite')
@Controller('services_composite')
export class CompositeController {
  constructor(private readonly calls: ServiceCalls) {}

  @Post('start')
  @RequiresMode('production')
  @Documented({
    id: 'S11',
    summary: 'Composite start',
    description:
      'Finds or creates, element by element, an active service by the fields that the event carries (`customer_id`, `service_type`, `contact_key`; `5` equals `"5"`, of several matches the newest), then a state and a task in it by type, and updates what was found. A failing element stops the call with its error; what was done before it stays, and a repeat with the same `Idempotency-Key` finds it. `state` may be missing; without a task `associate_state_task` means nothing. At most 100 elements. `create_new_services` is read from the body, and from the query too. The keys of the answer are not known of the product: ids and, for each, whether it was created.',
    status: 200,
    answer: ref('CompositeAnswer'),
    location: 'Path of the last task, or of the last state, or of the last service.',
    errors: {
      404: 'A state that is named is not one of the service.',
    },
    query: [{ name: 'create_new_services', type: Boolean, description: 'As in the body.' }],
    changes: true,
  })
  async start(@Body(ContractBody) body: CompositeBody, @Sent() sent: SentRequest) {
    const createNew = sent.query.flag('create_new_services') || body.create_new_services === true;
    const now = this.calls.now();
    const { context } = sent;
    const elements = body.services.map((element, place) => {
      return this.element(element, place, context, now);
    });
    const { services, position } = await this.calls.commands.execute(new StartComposite(elements, createNew, context));
    sent.answeredAt(position);
    const { service_id = '', state_id, task_id } = services.at(-1) ?? {};
    if (task_id !== undefined) sent.location('services', service_id, 'tasks', task_id);
    else if (state_id !== undefined) sent.location('services', service_id, 'states', state_id);
    else sent.location('services', service_id);
    return { services };
  }

  private element(
    { service, state, task, associate_state_task = false }: CompositeElementBody,
    place: number,
    context: RequestContext,
    now: number,
  ): CompositeElement {
    const where = `services[${place}].`;
    if (associate_state_task && task && !state) {
      throw new Refused('invalid', `${where}associate_state_task needs a state beside the task`);
    }
    if (associate_state_task && task?.state_id !== undefined) {
      throw new Refused('invalid', `${where}associate_state_task and ${where}task.state_id both name the task's state`);
    }
    const { ids } = this.calls;
    const key = context.idempotency && `${context.idempotency.key}/${place}`;
    const service_id = this.calls.startedId(service.service_id, () => ids.service(key));
    const serviceStart = serviceStartOf(service, service_id, now, `${where}service.`);
    return {
      service: {
        ...this.part(context, 'Service', serviceStart),
        ...lifetimeIn(service, now),
        lifetimeOfNew: this.calls.lifetimeOfNew(context, service.service_type),
      },
      ...(state && {
        state: { ...this.part(context, 'State', this.stateStart(state, now)), ...lifetimeIn(state, now) },
      }),
      ...(task && { task: { ...this.part(context, 'Task', this.taskStart(task, now)), ...lifetimeIn(task, now) } }),
      associateStateTask: associate_state_task,
    };
  }

  /** What starts, with DBIDs, when what is looked for is not found. */
  private part<Start extends object>(context: RequestContext, resource: Resource, start: Start) {
    const values = this.calls.enumerated(context);
    const held = this.calls.withDbids(context, { start }, () => ({ start: values.started(resource, start) }));
    return { ...held, sought: values.sought(resource, start) };
  }

  private stateStart(body: StartStateBody, now: number) {
    const state_id = this.calls.broughtId(body.state_id);
    return { ...stateStartOf(body, now), ...(state_id !== undefined && { state_id }) };
  }

  private taskStart(body: StartTaskBody, now: number) {
    const task_id = this.calls.broughtId(body.task_id);
    return { ...taskStartOf(body, now), ...(task_id !== undefined && { task_id }) };
  }
}
