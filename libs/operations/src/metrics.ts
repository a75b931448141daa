import { isMainThread } from 'node:worker_threads';
import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client';

/** All metrics of this process. Ours begin with `cs_`; those of the process itself keep the names that everybody knows. */
export const registry = new Registry();

// A worker thread has a registry of its own, but not a process of its own.
if (isMainThread) collectDefaultMetrics({ register: registry });

const children = new WeakMap<object, Map<string, unknown>>();

/** A metric with these values of its labels, looked up once and not for every count: there are few. */
export function labelled<Child>(metric: { labels(...values: string[]): Child }, ...values: string[]): Child {
  const known = children.get(metric) ?? new Map<string, unknown>();
  children.set(metric, known);
  const key = values.join('\n');
  const child = (known.get(key) as Child | undefined) ?? metric.labels(...values);
  known.set(key, child);
  return child;
}

/** What `registry.getMetricsAsJSON()` answers; plain data, which a worker thread can post. */
export type MetricsSnapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** This process in the text form of Prometheus, with the metrics of its worker threads added up by name and labels. */
export async function metricsText(workers: readonly MetricsSnapshot[] = []): Promise<string> {
  const shared = new Set(workers.flatMap((snapshot) => snapshot.map(({ name }) => name)));
  if (shared.size === 0) return registry.metrics();
  const own = await registry.getMetricsAsJSON();
  const sums = AggregatorRegistry.aggregate([own.filter(({ name }) => shared.has(name)), ...workers]);
  const alone = own.filter(({ name }) => !shared.has(name)).map(({ name }) => registry.getSingleMetricAsString(name));
  return `${[...(await Promise.all(alone)), (await sums.metrics()).trimEnd()].join('\n\n')}\n`;
}
