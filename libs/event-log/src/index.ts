export * from './arbiter.js';
export * from './clock.js';
export * from './event-log.js';
export * from './judge.js';
export * from './log-record.js';
export * from './log-transport.js';
export * from './refused-start.js';
export * from './writer.js';
