import { Rejected } from '../rejected.js';
import type { ServiceCommand } from './commands.js';
import { given } from '../testing/specification.js';
import {
  at,
  fiveYears,
  serviceAssociated,
  serviceDeleted,
  serviceEnded,
  serviceExpired,
  service_id,
  serviceStarted,
  serviceUpdated,
  stateStarted,
  taskStarted,
} from '../testing/conversation.js';

type Data<Type extends ServiceCommand['type']> = Extract<ServiceCommand, { type: Type }>['data'];

const { contact_key } = serviceStarted().data;
const notFound = `There are no service found for : ${service_id}`;

describe('starting a service', () => {
  const start: ServiceCommand = { type: 'StartService', data: serviceStarted().data, lifetime: fiveYears };

  it('records what it was started with', () => {
    const data: Data<'StartService'> = {
      ...serviceStarted().data,
      customer_id: 'C-1',
      est_duration: 60,
      auto_complete_after: 900,
      disposition: 'open',
      session_id: 's',
      interaction_id: 'i',
      application_type: 400,
      application_id: 40,
      resource_type: 'agent',
      resource_id: 20,
      media_type: 'voice',
      extensions: { offers: [{ name: 'card' }], note: null },
    };
    given()
      .when({ ...start, data })
      .thenRecords({ type: 'ServiceStarted', data });
  });
  it('is answered with its id', () => given().when(start).thenAnswers({ service_id, created: true }));
  it('is refused when the service is there', () =>
    given(serviceStarted())
      .when(start)
      .thenRejects('service-already-started', `There is already a service : ${service_id}`));
  it('is refused when the service is completed', () =>
    given(serviceStarted(), serviceEnded()).when(start).thenRejects('service-already-started'));
  it('is refused when the service was deleted: its id does not come back', () =>
    given(serviceStarted(), serviceDeleted).when(start).thenRejects('service-already-started'));
  it('is refused when the service expired', () =>
    given(serviceStarted(), serviceExpired).when(start).thenRejects('service-already-started'));
});

describe('associating a service', () => {
  const associate = (data: Partial<Data<'AssociateService'>> = {}): ServiceCommand => ({
    type: 'AssociateService',
    data: { service_id, customer_id: 'C-1', timestamp: at(1), ...data },
  });

  it('names the contact key that an anonymous service was listed under', () =>
    given(serviceStarted({ contact_key: 'a@b' }))
      .when(associate())
      .thenRecords(serviceAssociated({ contact_key: 'a@b', previous_contact_key: 'a@b' })));
  it('names the customer before', () =>
    given(serviceStarted({ contact_key: 'a@b' }), serviceAssociated({ contact_key: 'a@b' }))
      .when(associate({ customer_id: 'C-2' }))
      .thenRecords(
        serviceAssociated({
          customer_id: 'C-2',
          previous_customer_id: 'C-1',
          contact_key: 'a@b',
          previous_contact_key: 'a@b',
        }),
      ));
  it('takes a new contact key', () =>
    given(serviceStarted({ contact_key: 'a@b' }))
      .when(associate({ contact_key: 'c@d' }))
      .thenRecords(serviceAssociated({ contact_key: 'c@d', previous_contact_key: 'a@b' })));
  it('takes the first contact key', () =>
    given({ type: 'ServiceStarted', data: { service_id, customer_id: 'C-0', timestamp: at(0) } })
      .when(associate({ contact_key: 'c@d' }))
      .thenRecords(serviceAssociated({ previous_customer_id: 'C-0', contact_key: 'c@d' })));
  it('records fields and extensions that came with it', () =>
    given({ type: 'ServiceStarted', data: { service_id, customer_id: 'C-0', timestamp: at(0) } })
      .when(associate({ service_type: 5, media_type: 'chat', est_duration: 9, extensions: { a: 1 } }))
      .thenRecords(
        serviceAssociated({
          previous_customer_id: 'C-0',
          service_type: 5,
          media_type: 'chat',
          est_duration: 9,
          extensions: { a: 1 },
        }),
      ));
  it('is recorded again for the same customer', () =>
    given({ type: 'ServiceStarted', data: { service_id, customer_id: 'C-1', timestamp: at(0) } })
      .when(associate())
      .thenRecords(serviceAssociated({ previous_customer_id: 'C-1' })));
  it('works on a completed service', () =>
    given({ type: 'ServiceStarted', data: { service_id, customer_id: 'C-1', timestamp: at(0) } }, serviceEnded())
      .when(associate({ customer_id: 'C-2' }))
      .thenRecords(serviceAssociated({ customer_id: 'C-2', previous_customer_id: 'C-1' })));
  it('is answered with the id', () => given(serviceStarted()).when(associate()).thenAnswers({ service_id }));
});

describe('updating a service that a composite start found', () => {
  const update = (data: Partial<Data<'UpdateService'>> = {}): ServiceCommand => ({
    type: 'UpdateService',
    data: { service_id, timestamp: at(2), ...data },
  });
  const found = { service_id, created: false };

  it('records extensions', () =>
    given(serviceStarted())
      .when(update({ extensions: { a: 1 } }))
      .thenRecords(serviceUpdated({ extensions: { a: 1 } })));
  it.each([
    { est_duration: 0 },
    { auto_complete_after: 60 },
    { disposition: 'x' },
    { disposition_desc: '' },
    { session_id: 's' },
    { interaction_id: 'i' },
    { application_type: 1 },
    { application_id: 1 },
    { resource_type: 1 },
    { resource_id: 1 },
    { media_type: 1 },
  ])('records %p', (field) => given(serviceStarted()).when(update(field)).thenRecords(serviceUpdated(field)));
  it('leaves the type as it was written first', () =>
    given(serviceStarted({ service_type: 5 }))
      .when(update({ service_type: '5', extensions: { a: 1 } }))
      .thenRecords(serviceUpdated({ extensions: { a: 1 } })));
  it('records an explicit lifetime, also alone', () =>
    given(serviceStarted())
      .when({ ...update(), lifetime: { ttl: 60 } })
      .thenRecords(serviceUpdated()));
  it('has nothing to do for type and time alone', () =>
    given(serviceStarted())
      .when(update({ service_type: 'Claim' }))
      .thenNothing(found));
  it('has nothing to do for fields without a value and no extensions', () =>
    given(serviceStarted())
      .when(update({ session_id: undefined, extensions: {} }))
      .thenNothing(found));
  it('is answered as found', () =>
    given(serviceStarted())
      .when(update({ extensions: { a: 1 } }))
      .thenAnswers(found));
  it('is refused when the service was completed meanwhile: composite starts take active ones', () =>
    given(serviceStarted(), serviceEnded())
      .when(update({ extensions: { a: 1 } }))
      .thenRejects('service-already-completed'));
});

describe('ending a service', () => {
  const end = (data: Partial<Data<'EndService'>> = {}): ServiceCommand => ({
    type: 'EndService',
    data: { service_id, timestamp: at(50), ...data },
  });

  it('records how it went', () =>
    given(serviceStarted())
      .when(end({ disposition: 'done', disposition_desc: 'all well', session_id: 's', extensions: { survey: 5 } }))
      .thenRecords(
        serviceEnded({
          disposition: 'done',
          disposition_desc: 'all well',
          session_id: 's',
          extensions: { survey: 5 },
          contact_key,
        }),
      ));
  it('is possible while states and tasks are active', () =>
    given(serviceStarted(), stateStarted('s1'), taskStarted('t1'))
      .when(end())
      .thenRecords(serviceEnded({ contact_key })));
  it('names the owner as of now, whose lists change', () =>
    given(serviceStarted(), serviceAssociated({ contact_key: 'new', previous_contact_key: contact_key }))
      .when(end())
      .thenRecords(serviceEnded({ customer_id: 'C-1', contact_key: 'new' })));
  it('is answered with the id', () => given(serviceStarted()).when(end()).thenAnswers({ service_id }));
  it('is refused the second time, with the time of the first', () =>
    given(serviceStarted(), serviceEnded({ timestamp: at(44) }))
      .when(end())
      .thenRejects('service-already-completed', `The service ${service_id} was completed at 2026-03-01T09:44:00.000Z`));
});

describe('deleting a service', () => {
  const remove: ServiceCommand = { type: 'DeleteService', data: { service_id } };

  it('is recorded', () => given(serviceStarted()).when(remove).thenRecords(serviceDeleted));
  it('is recorded for a completed one', () =>
    given(serviceStarted(), serviceEnded()).when(remove).thenRecords(serviceDeleted));
  it('is answered with the id', () => given(serviceStarted()).when(remove).thenAnswers({ service_id }));
  it('is refused the second time', () =>
    given(serviceStarted(), serviceDeleted).when(remove).thenRejects('service-not-found', notFound));
});

describe('changing the expiration', () => {
  const change: ServiceCommand = { type: 'ChangeExpiration', data: { service_id }, lifetime: { ttl: 60 } };

  it('is recorded', () =>
    given(serviceStarted()).when(change).thenRecords({ type: 'ExpirationChanged', data: { service_id } }));
  it('is recorded for a completed service', () =>
    given(serviceStarted(), serviceEnded())
      .when(change)
      .thenRecords({ type: 'ExpirationChanged', data: { service_id } }));
  it('is answered with the id', () => given(serviceStarted()).when(change).thenAnswers({ service_id }));
});

const timestamp = at(20);
const all = {
  StartService: { type: 'StartService', data: serviceStarted().data, lifetime: fiveYears },
  AssociateService: { type: 'AssociateService', data: { service_id, customer_id: 'C-1', timestamp } },
  UpdateService: { type: 'UpdateService', data: { service_id } },
  EndService: { type: 'EndService', data: { service_id, timestamp } },
  DeleteService: { type: 'DeleteService', data: { service_id } },
  ChangeExpiration: { type: 'ChangeExpiration', data: { service_id }, lifetime: fiveYears },
  StartState: { type: 'StartState', data: { service_id, state_id: 's1', timestamp } },
  FindOrStartState: { type: 'FindOrStartState', data: { service_id, state_id: 's1', timestamp } },
  EndState: { type: 'EndState', data: { service_id, state_id: 's1', timestamp } },
  TransitionState: {
    type: 'TransitionState',
    data: { service_id, timestamp, from: { state_id: 's1' }, to: { state_id: 's2' } },
  },
  StartTask: { type: 'StartTask', data: { service_id, task_id: 't1', timestamp } },
  FindOrStartTask: { type: 'FindOrStartTask', data: { service_id, task_id: 't1', timestamp } },
  EndTask: { type: 'EndTask', data: { service_id, task_id: 't1', timestamp } },
  ReplaceExtension: { type: 'ReplaceExtension', data: { service_id, name: 'a', value: 1 } },
  MergeExtension: { type: 'MergeExtension', data: { service_id, name: 'a', value: {} } },
} as const satisfies { readonly [Type in ServiceCommand['type']]: Extract<ServiceCommand, { type: Type }> };

describe.each(Object.values(all).filter(({ type }) => type !== 'StartService'))('$type', (command) => {
  it('is refused before the service is started', () =>
    given().when(command).thenRejects('service-not-found', notFound));
  it('is refused after the service was deleted', () =>
    given(serviceStarted(), stateStarted('s1'), taskStarted('t1'), serviceDeleted)
      .when(command)
      .thenRejects('service-not-found', notFound));
  it('is refused after the service expired', () =>
    given(serviceStarted(), stateStarted('s1'), taskStarted('t1'), serviceExpired)
      .when(command)
      .thenRejects('service-not-found', notFound));
});

describe.each(Object.values(all))('$type', (command) => {
  it('is refused for what it brings, whatever has happened', () => {
    const refused = { ...command, refusal: new Rejected('invalid-enumerated-value', 'Invalid') };
    given().when(refused).thenRejects('invalid-enumerated-value', 'Invalid');
    given(serviceStarted(), stateStarted('s0')).when(refused).thenRejects('invalid-enumerated-value', 'Invalid');
  });
});
