export { BadOptions, loadOptions, Option, optionsHelp } from './options.js';
export { EngineOptions, HttpOptions, type Consistency, type Engine, type LogLevel } from './engine-options.js';
export { createLogger, NestLogger, type Logger } from './logger.js';
export { labelled, metricsText, registry, type MetricsSnapshot } from './metrics.js';
export { OperationsModule, Readiness, type ReadinessReport } from './health.js';
export { refuseStart, retryUntilUp } from './start-up.js';
