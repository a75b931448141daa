export * from './rejected.js';
export * from './service/service.js';
export * from './claim/claim.js';
export * from './service/commands.js';
export * from './service/decide.js';
export * from './service/evolve.js';
