import { Body, Controller, Get, Param, Post, Put } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { findState, matches, Rejected } from '#domain';
import type { Json } from '#events';
import { Documented, extensions, idOnly, listOf, nestedTasks, paging, ref, typesAsked } from '../http/documented.js';
import { Sent, type SentRequest } from '../http/sent-request.js';
import { RequiresMode } from '../server-mode/mode.guard.js';
import { AnyJson, ContractBody, EndStateBody, JsonObject, StartStateBody, TransitionBody } from './bodies.js';
import { extensionsAsked } from './extensions-parameter.js';
import {
  activityOf,
  dispositionOf,
  extensionsOf,
  lifetimeIn,
  outcomeOf,
  refuseOtherId,
  sentFields,
  stateStartOf,
} from './from-body.js';
import { ExtensionName } from './path-parameters.js';
import { stateAnswer, type JsonObject as Answer } from './service.answer.js';
import { nestedAsked, ServiceCalls, type Status } from './service-calls.js';

const unknown = { 404: 'There is no such service or state.' };
const listQuery = [typesAsked('state_types'), ...nestedTasks, extensions, ...paging];
const order = 'Ascending by `started.timestamp`, then by the time of recording, then by id.';

@ApiTags('states')
@Controller('services/:service_id/states')
export class StateController {
  constructor(private readonly calls: ServiceCalls) {}

  @Post('start')
  @RequiresMode('production')
  @Documented({
    id: 'T1',
    summary: 'Start a state',
    description: 'Several states may be active at once. `previous_state_id` must be a state of the same service.',
    status: 201,
    answer: idOnly('state_id'),
    location: 'Path of the state.',
    errors: { ...unknown, 409: 'The id is taken (own ids only).' },
    changes: true,
  })
  async start(
    @Param('service_id') service_id: string,
    @Body(ContractBody) body: StartStateBody,
    @Sent() sent: SentRequest,
  ) {
    refuseOtherId('service_id', body.service_id, service_id);
    const now = this.calls.now();
    const made = this.calls.startedId(body.state_id, () => this.calls.ids.part(service_id));
    const { state_id = made } = await this.calls.execute(sent, {
      type: 'StartState',
      data: Object.assign({ service_id, state_id: made }, stateStartOf(body, now)),
      ...lifetimeIn(body, now),
    });
    sent.location('services', service_id, 'states', state_id);
    return { state_id };
  }

  @Post('transition')
  @RequiresMode('production')
  @Documented({
    id: 'T3',
    summary: 'Perform a state transition',
    description:
      'Ends the state `from.state_id` and starts another one in a single step. Tasks of the ended state go on. Extensions belong into `from` or `to`: beside them they would be lost and are refused. The product does not say what it answers: 201, the id of the new state and its path.',
    status: 201,
    answer: idOnly('state_id'),
    location: 'Path of the new state.',
    errors: { ...unknown, 409: 'The state is completed already; the message says when.' },
    changes: true,
  })
  async transition(
    @Param('service_id') service_id: string,
    @Body(ContractBody) body: TransitionBody,
    @Sent() sent: SentRequest,
  ) {
    refuseOtherId('service_id', body.service_id, service_id);
    const now = this.calls.now();
    const { from, to } = body;
    const made = this.calls.ids.part(service_id);
    const { state_id = made } = await this.calls.execute(sent, {
      type: 'TransitionState',
      data: {
        service_id,
        ...activityOf(body, now),
        from: { state_id: from.state_id, ...dispositionOf(from), ...extensionsOf(from) },
        to: { state_id: made, ...sentFields(to, ['state_type', 'est_duration']), ...extensionsOf(to) },
      },
      ...lifetimeIn(body, now),
    });
    sent.location('services', service_id, 'states', state_id);
    return { state_id };
  }

  @Post(':state_id/end')
  @RequiresMode('production')
  @Documented({
    id: 'T2',
    summary: 'Complete a state',
    description: 'Tasks of the state go on. Fields of other events are tolerated.',
    status: 204,
    errors: { ...unknown, 409: 'It is completed already; the message says when.' },
    changes: true,
  })
  async end(
    @Param('service_id') service_id: string,
    @Param('state_id') state_id: string,
    @Body(ContractBody) body: EndStateBody,
    @Sent() sent: SentRequest,
  ): Promise<void> {
    refuseOtherId('service_id', body.service_id, service_id);
    refuseOtherId('state_id', body.state_id, state_id);
    const now = this.calls.now();
    await this.calls.execute(sent, {
      type: 'EndState',
      data: Object.assign({ service_id, state_id }, outcomeOf(body, now)),
      ...lifetimeIn(body, now),
    });
  }

  @Get()
  @RequiresMode('production')
  @Documented({
    id: 'T4_all',
    summary: 'Query states',
    description: order,
    status: 200,
    answer: listOf('State'),
    errors: unknown,
    query: listQuery,
  })
  all(@Param('service_id') serviceId: string, @Sent() sent: SentRequest) {
    return this.list(serviceId, 'all', sent);
  }

  @Get('active')
  @RequiresMode('production')
  @Documented({
    id: 'T4_active',
    summary: 'Query active states',
    description: order,
    status: 200,
    answer: listOf('State'),
    errors: unknown,
    query: listQuery,
  })
  active(@Param('service_id') serviceId: string, @Sent() sent: SentRequest) {
    return this.list(serviceId, 'active', sent);
  }

  @Get('completed')
  @RequiresMode('production')
  @Documented({
    id: 'T4_completed',
    summary: 'Query completed states',
    description: order,
    status: 200,
    answer: listOf('State'),
    errors: unknown,
    query: listQuery,
  })
  completed(@Param('service_id') serviceId: string, @Sent() sent: SentRequest) {
    return this.list(serviceId, 'completed', sent);
  }

  private async list(serviceId: string, status: Status, sent: SentRequest): Promise<readonly Answer[]> {
    const [nested, asked] = [nestedAsked(sent), extensionsAsked(sent.query.list('extensions'))];
    const types = this.calls.typesAsked(sent, 'State.type', 'state_types');
    const service = await this.calls.service(sent, serviceId);
    return this.calls
      .partsAsked(sent, service.states, status, ({ state_type }) => matches(state_type, types))
      .map((state) => stateAnswer(service, state, nested, asked, this.calls.enumerated(sent)));
  }

  @Get(':state_id')
  @RequiresMode('production')
  @Documented({
    id: 'T5',
    summary: 'Query a state',
    status: 200,
    answer: ref('State'),
    errors: unknown,
    query: [...nestedTasks, extensions],
  })
  async get(@Param('service_id') serviceId: string, @Param('state_id') stateId: string, @Sent() sent: SentRequest) {
    const [nested, asked] = [nestedAsked(sent), extensionsAsked(sent.query.list('extensions'))];
    const service = await this.calls.service(sent, serviceId, (found) => findState(found, stateId) !== undefined);
    const state = findState(service, stateId);
    if (!state) throw new Rejected('state-not-found', `There are no state found for : ${stateId}`);
    return stateAnswer(service, state, nested, asked, this.calls.enumerated(sent));
  }

  @Put(':state_id/extensions/:ext_name')
  @RequiresMode('production')
  @Documented({
    id: 'T6',
    summary: 'Update an extension of a state',
    description: 'Replaces the whole value, or creates the extension.',
    status: 200,
    errors: unknown,
    body: {},
    changes: true,
  })
  async replaceExtension(
    @Param('service_id') service_id: string,
    @Param('state_id') state_id: string,
    @Param('ext_name', ExtensionName) name: string,
    @Body(AnyJson) value: Json,
    @Sent() sent: SentRequest,
  ): Promise<void> {
    await this.calls.execute(sent, { type: 'ReplaceExtension', data: { service_id, state_id, name, value } });
  }

  @Put(':state_id/extensions/:ext_name/merge')
  @RequiresMode('production')
  @Documented({
    id: 'T7',
    summary: 'Merge an extension of a state',
    description: 'As for a service.',
    status: 200,
    errors: unknown,
    body: { type: 'object', additionalProperties: {} },
    changes: true,
  })
  async mergeExtension(
    @Param('service_id') service_id: string,
    @Param('state_id') state_id: string,
    @Param('ext_name', ExtensionName) name: string,
    @Body(JsonObject) value: { readonly [name: string]: Json },
    @Sent() sent: SentRequest,
  ): Promise<void> {
    await this.calls.execute(sent, { type: 'MergeExtension', data: { service_id, state_id, name, value } });
  }
}
