import { Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { CqrsModule } from '@nestjs/cqrs';
import { OperationsModule, Readiness, type Logger } from '#operations';
import { ApiOptions } from './api.options.js';
import { Engine, LOGGER } from './engine/engine.js';
import { Instruments } from './engine/instruments.js';
import { OpenApi, OpenApiController } from './http/open-api.js';
import { BusinessAttributeController } from './metadata/business-attribute.controller.js';
import { MetadataCalls } from './metadata/metadata-calls.js';
import { MetadataController } from './metadata/metadata.controller.js';
import { ProfileSchemaController } from './metadata/profile-schema.controller.js';
import { ModeGuard } from './server-mode/mode.guard.js';
import { RequestCounts } from './server-mode/request-counts.js';
import { ServerController } from './server-mode/server.controller.js';
import { CompositeController } from './services/composite.controller.js';
import { ServiceCalls } from './services/service-calls.js';
import { ServiceController } from './services/service.controller.js';
import { serviceHandlers } from './services/service.handlers.js';
import { StateController } from './services/state.controller.js';
import { TaskController } from './services/task.controller.js';

/** What must hold before this process can serve. */
export const conditions = ['engine', 'read-model', 'lease'];

/** HTTP in, commands and queries over the buses, the engine behind their handlers. */
@Module({})
export class ApiModule implements OnApplicationShutdown {
  static with(
    options: ApiOptions,
    readiness: Readiness,
    logger: Logger,
    counts: RequestCounts,
    metrics: () => Promise<string>,
  ): DynamicModule {
    return {
      module: ApiModule,
      imports: [CqrsModule.forRoot(), OperationsModule.with(readiness, metrics)],
      controllers: [
        ServiceController,
        StateController,
        TaskController,
        CompositeController,
        ServerController,
        MetadataController,
        ProfileSchemaController,
        BusinessAttributeController,
        OpenApiController,
      ],
      providers: [
        { provide: ApiOptions, useValue: options },
        { provide: LOGGER, useValue: logger },
        { provide: RequestCounts, useValue: counts },
        { provide: APP_GUARD, useClass: ModeGuard },
        Instruments,
        Engine,
        ServiceCalls,
        MetadataCalls,
        OpenApi,
        ...serviceHandlers,
      ],
    };
  }

  constructor(private readonly engine: Engine) {}

  /** The only hook that Nest calls after the server is closed: until then requests are still answered. */
  async onApplicationShutdown(): Promise<void> {
    await this.engine.stop();
  }
}
