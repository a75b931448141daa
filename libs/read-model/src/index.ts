export * from './aggregate.js';
export * from './list-entries.js';
export * from './read-model.js';
export * from './refused-start.js';
