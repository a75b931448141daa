export * from './embedded-event-log.js';
export * from './embedded-log-reader.js';
export * from './embedded-presence.js';
export { DamagedLog } from './log-file.js';
export { verify, type VerifiedPartition } from './verify.js';
