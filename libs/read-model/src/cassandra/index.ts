export * from './cassandra-read-model.js';
