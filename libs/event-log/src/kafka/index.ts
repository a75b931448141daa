export * from './kafka-log-transport.js';
export * from './kafka-presence.js';
export * from './kafka-public-topic.js';
export { topicNames, MAX_RECORD_BYTES } from './kafka-topics.js';
export { toMessage } from './kafka-record.js';
