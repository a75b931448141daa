import { EnumeratedValues, enumeratedFields, noMetadata } from '../index.js';
import type { EnumeratedField, Metadata, ServiceCommand } from '../index.js';
import { at, fiveYears, service_id } from '../testing/conversation.js';
import { rejection } from '../testing/specification.js';
import { withDbids } from './with-dbids.js';

/** Each field is mapped on an attribute of its own, whose only value is `known`: which one was used can be seen. */
const dbid = (field: EnumeratedField): number => 100 + enumeratedFields.indexOf(field);
const metadata: Metadata = {
  ...noMetadata,
  mapped: new Map(enumeratedFields.map((field) => [field, field])),
  businessAttributes: new Map(
    enumeratedFields.map((field) => {
      const value = { name: 'known', dbid: dbid(field), display_name: 'Known', description: '', default: true };
      return [field, { name: field, dbid: 1, display_name: field, description: '', values: [value] }];
    }),
  ),
};
const values = new EnumeratedValues(metadata, { dataValidation: true, mapNames: true });

const activity = {
  session_id: 'known',
  resource_id: 20,
  timestamp: at(1),
  application_type: 'known',
  resource_type: 'known',
  media_type: 'known',
} as const;
const held = (resource: 'Service' | 'State' | 'Task') => ({
  ...activity,
  application_type: dbid(`${resource}.application_type`),
  resource_type: dbid(`${resource}.resource_type`),
  media_type: dbid(`${resource}.media_type`),
});
const disposition = 'known';
const own = { service_id, extensions: { disposition: 'known', media_type: 'known' } };

const table: readonly (readonly [ServiceCommand, ServiceCommand['data']])[] = [
  [
    { type: 'StartService', data: { ...own, ...activity, disposition, service_type: 'known' }, lifetime: fiveYears },
    { ...own, ...held('Service'), disposition: dbid('Service.disposition'), service_type: dbid('Service.type') },
  ],
  [
    { type: 'StartService', data: { ...own, ...activity }, lifetime: fiveYears },
    { ...own, ...held('Service'), service_type: dbid('Service.type') },
  ],
  [
    { type: 'AssociateService', data: { ...own, ...activity, customer_id: 'C', service_type: 'known', disposition } },
    {
      ...own,
      ...held('Service'),
      customer_id: 'C',
      service_type: dbid('Service.type'),
      disposition: dbid('Service.disposition'),
    },
  ],
  [
    { type: 'AssociateService', data: { ...own, customer_id: 'C' } },
    { ...own, customer_id: 'C' },
  ],
  [
    { type: 'EndService', data: { ...own, ...activity, disposition } },
    { ...own, ...held('Service'), disposition: dbid('Service.disposition') },
  ],
  [
    { type: 'StartState', data: { ...own, ...activity, state_id: 's1', state_type: 'known' } },
    { ...own, ...held('State'), state_id: 's1', state_type: dbid('State.type') },
  ],
  [
    { type: 'StartState', data: { ...own, timestamp: at(1), state_id: 's1' } },
    { ...own, timestamp: at(1), state_id: 's1', state_type: dbid('State.type') },
  ],
  [
    { type: 'EndState', data: { ...own, ...activity, state_id: 's1', disposition } },
    { ...own, ...held('State'), state_id: 's1', disposition: dbid('State.disposition') },
  ],
  [
    {
      type: 'TransitionState',
      data: {
        service_id,
        ...activity,
        from: { state_id: 's1', disposition, extensions: { state_type: 'known' } },
        to: { state_id: 's2', state_type: 'known' },
      },
    },
    {
      service_id,
      ...held('State'),
      from: { state_id: 's1', disposition: dbid('State.disposition'), extensions: { state_type: 'known' } },
      to: { state_id: 's2', state_type: dbid('State.type') },
    },
  ],
  [
    {
      type: 'TransitionState',
      data: { service_id, timestamp: at(1), from: { state_id: 's1' }, to: { state_id: 's2' } },
    },
    {
      service_id,
      timestamp: at(1),
      from: { state_id: 's1' },
      to: { state_id: 's2', state_type: dbid('State.type') },
    },
  ],
  [
    { type: 'StartTask', data: { ...own, ...activity, task_id: 't1', task_type: 'known' } },
    { ...own, ...held('Task'), task_id: 't1', task_type: dbid('Task.type') },
  ],
  [
    { type: 'EndTask', data: { ...own, ...activity, task_id: 't1', disposition } },
    { ...own, ...held('Task'), task_id: 't1', disposition: dbid('Task.disposition') },
  ],
  [
    { type: 'ReplaceExtension', data: { service_id, name: 'media_type', value: 'known' } },
    { service_id, name: 'media_type', value: 'known' },
  ],
];

it.each(table.map(([command, data]) => [command.type, command, data] as const))(
  '%s holds the DBID of each value, by the field of its own resource',
  (_type, command, data) => {
    const before = JSON.stringify(command);
    expect(withDbids(command, values)).toStrictEqual({ ...command, data });
    expect(JSON.stringify(command)).toBe(before);
  },
);

it('leaves the steps of a composite start as they are: they hold DBIDs already', () => {
  const step: ServiceCommand = { type: 'UpdateService', data: { service_id, service_type: 5, media_type: 7 } };
  expect(withDbids(step, values)).toBe(step);
});

it('leaves everything as it is where nothing was ever mapped', () => {
  const asSent = new EnumeratedValues(noMetadata, { dataValidation: true, mapNames: true });
  for (const [command] of table) expect(withDbids(command, asSent)).toBe(command);
});

it.each<[string, ServiceCommand]>([
  ['Service.media_type', { type: 'EndService', data: { ...own, timestamp: at(1), media_type: 'odd' } }],
  ['State.type', { type: 'StartState', data: { ...own, timestamp: at(1), state_id: 's1', state_type: 'odd' } }],
  [
    'State.disposition',
    {
      type: 'TransitionState',
      data: { service_id, timestamp: at(1), from: { state_id: 's1', disposition: 'odd' }, to: { state_id: 's2' } },
    },
  ],
  [
    'Task.resource_type',
    { type: 'StartTask', data: { ...own, timestamp: at(1), task_id: 't1', resource_type: 'odd' } },
  ],
])('refuses what %s does not list', (field, command) =>
  expect(rejection(() => withDbids(command, values))).toMatchObject({
    code: 'invalid-enumerated-value',
    message: `Invalid value 'odd' for ${field}. Valid values : known`,
  }),
);
