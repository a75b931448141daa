export * from './embedded-read-model.js';
