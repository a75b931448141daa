export * from './json.js';
export * from './service.events.js';
export * from './claim.events.js';
export * from './control.events.js';
export * from './lifetime.js';
export * from './envelope.js';
export * from './codec.js';
