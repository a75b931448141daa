type Requirement = 'production' | 'maintenance' | 'both' | 'always';

const requirements: readonly (readonly [requirement: Requirement, ...routes: string[]])[] = [
  [
    'production',
    'POST services/start',
    'POST customers/:customer_id/services/:service_id',
    'POST services/:service_id/end',
    'GET services/:service_id',
    'DELETE services/:service_id',
    'PUT services/:service_id',
    'GET customers/:customer_id/services',
    'GET customers/:customer_id/services/active',
    'GET customers/:customer_id/services/completed',
    'GET services/anonymous/:contact_key',
    'GET services/anonymous/:contact_key/active',
    'GET services/anonymous/:contact_key/completed',
    'PUT services/:service_id/extensions/:ext_name',
    'PUT services/:service_id/extensions/:ext_name/merge',
    'POST services_composite/start',
    'POST services/:service_id/states/start',
    'POST services/:service_id/states/:state_id/end',
    'POST services/:service_id/states/transition',
    'GET services/:service_id/states',
    'GET services/:service_id/states/active',
    'GET services/:service_id/states/completed',
    'GET services/:service_id/states/:state_id',
    'PUT services/:service_id/states/:state_id/extensions/:ext_name',
    'PUT services/:service_id/states/:state_id/extensions/:ext_name/merge',
    'POST services/:service_id/tasks/start',
    'POST services/:service_id/tasks/:task_id/end',
    'GET services/:service_id/tasks',
    'GET services/:service_id/tasks/active',
    'GET services/:service_id/tasks/completed',
    'GET services/:service_id/tasks/:task_id',
    'PUT services/:service_id/tasks/:task_id/extensions/:ext_name',
    'PUT services/:service_id/tasks/:task_id/extensions/:ext_name/merge',
  ],
  [
    'maintenance',
    'DELETE metadata/profiles/extensions/:name',
    'POST metadata/identification-keys',
    'DELETE metadata/identification-keys/:name',
    'PUT metadata/business-attributes/:name',
    'DELETE metadata/business-attributes/:name',
  ],
  [
    'both',
    'GET metadata',
    'GET metadata/cache',
    'PUT metadata/cache',
    'GET metadata/profiles',
    'GET metadata/profiles/extensions',
    'POST metadata/profiles/extensions',
    'GET metadata/profiles/extensions/:name',
    'GET metadata/identification-keys',
    'GET metadata/identification-keys/:name',
    'GET metadata/business-attributes',
    'GET metadata/business-attributes/:name',
    'GET server/status',
    'POST server/mode',
  ],
  ['always', 'GET openapi.json', 'GET docs', 'GET docs/:asset'],
];

/**
 * What every route requires of the mode (contract 0.3, 1), by method and pattern. It is not read from the program: a
 * route that is not here fails, and so does one that the program declares otherwise.
 */
export const routes = requirements.flatMap(([requirement, ...patterns]) =>
  patterns.map((route) => {
    const [method, pattern] = route.split(' ') as [string, string];
    return { requirement, method, pattern, path: pattern.replaceAll(/:\w+/g, 'some-name') };
  }),
);
