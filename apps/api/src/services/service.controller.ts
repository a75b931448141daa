import { Body, Controller, Delete, Get, Param, Post, Put } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Json } from '#events';
import {
  Documented,
  extensions,
  idOnly,
  listOf,
  nestedStates,
  nestedTasks,
  paging,
  ref,
  startedBetween,
  typesAsked,
} from '../http/documented.js';
import { Refused } from '../http/refused.js';
import { Sent, type SentRequest } from '../http/sent-request.js';
import { RequiresMode } from '../server-mode/mode.guard.js';
import {
  AnyJson,
  AssociateServiceBody,
  ContractBody,
  EndServiceBody,
  ExpirationBody,
  JsonObject,
  StartServiceBody,
} from './bodies.js';
import { extensionsAsked } from './extensions-parameter.js';
import { lifetimeIn, outcomeOf, refuseOtherId, serviceChangeOf, serviceStartOf } from './from-body.js';
import { Bounded, ExtensionName } from './path-parameters.js';
import { serviceAnswer } from './service.answer.js';
import { nestedAsked, ServiceCalls } from './service-calls.js';

const unknownService = { 404: 'There is no such service.' };
const listQuery = [
  ...startedBetween,
  typesAsked('service_types'),
  ...nestedStates,
  ...nestedTasks,
  extensions,
  ...paging,
];
const order =
  'Ascending by `started.timestamp`, then by the time of recording, then by id. No match: an empty list. Unknown parameters are passed over.';

@ApiTags('services')
@Controller()
export class ServiceController {
  constructor(private readonly calls: ServiceCalls) {}

  @Post('services/start')
  @RequiresMode('production')
  @Documented({
    id: 'S1',
    summary: 'Start a service',
    description:
      'Either `customer_id` or `contact_key` is needed; both may be sent, the service is then not anonymous. Every name that has no meaning in the contract is an extension.',
    status: 201,
    answer: idOnly('service_id'),
    location: 'Path of the service.',
    errors: {
      409: 'The id is taken (own ids only).',
    },
    changes: true,
  })
  async start(@Body(ContractBody) body: StartServiceBody, @Sent() sent: SentRequest) {
    const now = this.calls.now();
    const { idempotency } = sent.context;
    const service_id = this.calls.startedId(body.service_id, () => this.calls.ids.service(idempotency?.key));
    const answer = await this.calls.execute(sent, {
      type: 'StartService',
      data: serviceStartOf(body, service_id, now),
      lifetime: this.calls.lifetimeOfNew(sent, body.service_type),
      ...lifetimeIn(body, now),
    });
    sent.location('services', answer.service_id ?? service_id);
    return { service_id: answer.service_id ?? service_id };
  }

  @Post('customers/:customer_id/services/:service_id')
  @RequiresMode('production')
  @Documented({
    id: 'S2',
    summary: 'Associate a service with a customer',
    description:
      'The service leaves the lists of its former owner. The body may bring new values for fields of the start and extensions; its `timestamp` never changes that of the start. Works on completed services too. The product does not say what it answers: 200 and an empty object.',
    status: 200,
    answer: { type: 'object' },
    errors: unknownService,
    changes: true,
  })
  async associate(
    @Param('customer_id', Bounded) customer_id: string,
    @Param('service_id') service_id: string,
    @Body(ContractBody) body: AssociateServiceBody,
    @Sent() sent: SentRequest,
  ) {
    refuseOtherId('service_id', body.service_id, service_id);
    refuseOtherId('customer_id', body.customer_id, customer_id);
    const now = this.calls.now();
    const { contact_key } = body;
    await this.calls.execute(sent, {
      type: 'AssociateService',
      data: {
        ...serviceChangeOf(body, service_id, now),
        customer_id,
        ...(contact_key !== undefined && { contact_key }),
      },
      ...lifetimeIn(body, now),
    });
    return {};
  }

  @Post('services/:service_id/end')
  @RequiresMode('production')
  @Documented({
    id: 'S3',
    summary: 'Complete a service',
    description:
      'States and tasks keep their status, and can still be started and ended. Fields of other events are tolerated.',
    status: 204,
    errors: {
      ...unknownService,
      409: 'It is completed already; the message says when.',
    },
    changes: true,
  })
  async end(
    @Param('service_id') service_id: string,
    @Body(ContractBody) body: EndServiceBody,
    @Sent() sent: SentRequest,
  ): Promise<void> {
    refuseOtherId('service_id', body.service_id, service_id);
    const now = this.calls.now();
    await this.calls.execute(sent, {
      type: 'EndService',
      data: Object.assign({ service_id }, outcomeOf(body, now)),
      ...lifetimeIn(body, now),
    });
  }

  @Get('services/:service_id')
  @RequiresMode('production')
  @Documented({
    id: 'S4',
    summary: 'Query a service',
    status: 200,
    answer: ref('Service'),
    errors: unknownService,
    query: [...nestedStates, ...nestedTasks, extensions],
  })
  async get(@Param('service_id') serviceId: string, @Sent() sent: SentRequest) {
    // `services/anonymous/` with nothing behind it (contract 0.3, 15).
    if (serviceId === 'anonymous') throw new Refused('invalid', 'contact_key must not be empty');
    const [nested, asked] = [nestedAsked(sent), extensionsAsked(sent.query.list('extensions'))];
    return serviceAnswer(await this.calls.service(sent, serviceId), nested, asked, this.calls.enumerated(sent));
  }

  @Delete('services/:service_id')
  @RequiresMode('production')
  @Documented({
    id: 'S5',
    summary: 'Delete a service',
    description: 'With its states and tasks. Its id does not come back. A body is passed over.',
    status: 200,
    errors: unknownService,
    changes: true,
    keyed: false,
  })
  async delete(@Param('service_id') service_id: string, @Sent() sent: SentRequest): Promise<void> {
    await this.calls.execute(sent, { type: 'DeleteService', data: { service_id } });
  }

  @Put('services/:service_id')
  @RequiresMode('production')
  @Documented({
    id: 'S10',
    summary: 'Update the expiration time',
    description:
      '`ttl` or `expiration_time` is needed; `ttl` wins, but a time that has passed is refused beside it too. It stays until the next explicit one. Other names are refused: nothing would become of them.',
    status: 200,
    errors: unknownService,
    changes: true,
  })
  async expire(
    @Param('service_id') service_id: string,
    @Body(ContractBody) body: ExpirationBody,
    @Sent() sent: SentRequest,
  ): Promise<void> {
    refuseOtherId('service_id', body.service_id, service_id);
    const { lifetime, ...terms } = lifetimeIn(body, this.calls.now());
    if (!lifetime) throw new Refused('invalid', 'ttl or expiration_time must be in the body');
    await this.calls.execute(sent, { type: 'ChangeExpiration', data: { service_id }, lifetime, ...terms });
  }

  @Put('services/:service_id/extensions/:ext_name')
  @RequiresMode('production')
  @Documented({
    id: 'S8',
    summary: 'Update an extension of a service',
    description: 'Replaces the whole value, or creates the extension.',
    status: 200,
    errors: unknownService,
    body: {},
    changes: true,
  })
  async replaceExtension(
    @Param('service_id') service_id: string,
    @Param('ext_name', ExtensionName) name: string,
    @Body(AnyJson) value: Json,
    @Sent() sent: SentRequest,
  ): Promise<void> {
    await this.calls.execute(sent, { type: 'ReplaceExtension', data: { service_id, name, value } });
  }

  @Put('services/:service_id/extensions/:ext_name/merge')
  @RequiresMode('production')
  @Documented({
    id: 'S9',
    summary: 'Merge an extension of a service',
    description:
      'Adds the entries of the object to those that are there; the new value of an entry wins. Creates the extension. What is stored must be an object.',
    status: 200,
    errors: unknownService,
    body: { type: 'object', additionalProperties: {} },
    changes: true,
  })
  async mergeExtension(
    @Param('service_id') service_id: string,
    @Param('ext_name', ExtensionName) name: string,
    @Body(JsonObject) value: { readonly [name: string]: Json },
    @Sent() sent: SentRequest,
  ): Promise<void> {
    await this.calls.execute(sent, { type: 'MergeExtension', data: { service_id, name, value } });
  }

  @Get('customers/:customer_id/services')
  @RequiresMode('production')
  @Documented({
    id: 'S6_all',
    summary: 'Query services of a customer',
    description: order,
    status: 200,
    answer: listOf('Service'),
    query: listQuery,
  })
  ofCustomer(@Param('customer_id', Bounded) id: string, @Sent() sent: SentRequest) {
    return this.calls.services(sent, 'customer', id, 'all');
  }

  @Get('customers/:customer_id/services/active')
  @RequiresMode('production')
  @Documented({
    id: 'S6_active',
    summary: 'Query active services of a customer',
    description: order,
    status: 200,
    answer: listOf('Service'),
    query: listQuery,
  })
  activeOfCustomer(@Param('customer_id', Bounded) id: string, @Sent() sent: SentRequest) {
    return this.calls.services(sent, 'customer', id, 'active');
  }

  @Get('customers/:customer_id/services/completed')
  @RequiresMode('production')
  @Documented({
    id: 'S6_completed',
    summary: 'Query completed services of a customer',
    description: order,
    status: 200,
    answer: listOf('Service'),
    query: listQuery,
  })
  completedOfCustomer(@Param('customer_id', Bounded) id: string, @Sent() sent: SentRequest) {
    return this.calls.services(sent, 'customer', id, 'completed');
  }

  @Get('services/anonymous/:contact_key')
  @RequiresMode('production')
  @Documented({
    id: 'S7_all',
    summary: 'Query anonymous services',
    description: order,
    status: 200,
    answer: listOf('Service'),
    query: listQuery,
  })
  ofContact(@Param('contact_key', Bounded) id: string, @Sent() sent: SentRequest) {
    return this.calls.services(sent, 'contact', id, 'all');
  }

  @Get('services/anonymous/:contact_key/active')
  @RequiresMode('production')
  @Documented({
    id: 'S7_active',
    summary: 'Query active anonymous services',
    description: order,
    status: 200,
    answer: listOf('Service'),
    query: listQuery,
  })
  activeOfContact(@Param('contact_key', Bounded) id: string, @Sent() sent: SentRequest) {
    return this.calls.services(sent, 'contact', id, 'active');
  }

  @Get('services/anonymous/:contact_key/completed')
  @RequiresMode('production')
  @Documented({
    id: 'S7_completed',
    summary: 'Query completed anonymous services',
    description: order,
    status: 200,
    answer: listOf('Service'),
    query: listQuery,
  })
  completedOfContact(@Param('contact_key', Bounded) id: string, @Sent() sent: SentRequest) {
    return this.calls.services(sent, 'contact', id, 'completed');
  }
}
