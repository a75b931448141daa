import { Controller, type DynamicModule, Get, Header, Inject, Module, Res } from '@nestjs/common';
import { metricsText, registry } from './metrics.js';

export interface ReadinessReport {
  readonly status: 'ready' | 'not ready';
  readonly conditions: Readonly<
    Record<string, { readonly ready: boolean; readonly reason?: string; readonly since: string }>
  >;
}

interface Condition {
  readonly reason?: string;
  readonly since: string;
}

/** What must hold before this process can serve: named conditions. Each is not ready until it was said to be. */
export class Readiness {
  private readonly conditions: Map<string, Condition>;

  constructor(
    conditions: readonly string[],
    private readonly now: () => Date = () => new Date(),
  ) {
    this.conditions = new Map(conditions.map((name) => [name, { reason: 'not started', since: now().toISOString() }]));
  }

  ready(condition: string): void {
    const before = this.conditions.get(condition);
    if (before && before.reason === undefined) return;
    this.conditions.set(condition, { since: this.now().toISOString() });
  }

  notReady(condition: string, reason: string): void {
    const since = this.conditions.get(condition);
    const still = since?.reason === undefined ? undefined : since.since;
    this.conditions.set(condition, { reason, since: still ?? this.now().toISOString() });
  }

  get isReady(): boolean {
    return [...this.conditions.values()].every(({ reason }) => reason === undefined);
  }

  report(): ReadinessReport {
    return {
      status: this.isReady ? 'ready' : 'not ready',
      conditions: Object.fromEntries(
        [...this.conditions].map(([name, { reason, since }]) => [
          name,
          { ready: reason === undefined, ...(reason !== undefined && { reason }), since },
        ]),
      ),
    };
  }
}

const METRICS = Symbol('metrics');
const NOT_READY = 503;

/** The part of a Fastify reply that is needed here. */
interface Reply {
  status(code: number): unknown;
}

@Controller()
class OperationsController {
  constructor(
    @Inject(Readiness) private readonly readiness: Readiness,
    @Inject(METRICS) private readonly metrics: () => Promise<string>,
  ) {}

  /** The process runs and its event loop turns; says nothing of Kafka or Cassandra, whose absence no restart heals. */
  @Get('health/live')
  live(): { readonly status: 'live' } {
    return { status: 'live' };
  }

  @Get('health/ready')
  ready(@Res({ passthrough: true }) reply: Reply): ReadinessReport {
    const report = this.readiness.report();
    if (report.status !== 'ready') reply.status(NOT_READY);
    return report;
  }

  @Get('metrics')
  @Header('Content-Type', registry.contentType)
  async text(): Promise<string> {
    return this.metrics();
  }
}

/** `GET /health/live`, `GET /health/ready` (200 or 503 with the conditions), `GET /metrics`: the same on every program. */
@Module({})
export class OperationsModule {
  /** `metrics` answers the text of `/metrics`; a program with worker threads brings its own. */
  static with(readiness: Readiness, metrics: () => Promise<string> = () => metricsText()): DynamicModule {
    return {
      module: OperationsModule,
      global: true,
      controllers: [OperationsController],
      providers: [
        { provide: Readiness, useValue: readiness },
        { provide: METRICS, useValue: metrics },
      ],
      exports: [Readiness],
    };
  }
}
