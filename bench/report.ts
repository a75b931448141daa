import type { Round } from './command-path.js';
import { goals, median } from './goals.js';
import type { Report } from './main.js';
import type { LoopMeasured } from './scenario.js';

const title = (text: string): void => console.log(`\n${text}`);

const spread = (numbers: readonly number[]): string =>
  `${median(numbers)} (${Math.min(...numbers)}-${Math.max(...numbers)})`;

/** Tables for the person who ran it. */
export function print(report: Report): void {
  title('Machine and settings');
  console.table({ ...report.machine, ...report.settings });
  for (const [name, { closed, open }] of Object.entries(report.scenario)) {
    loop(`Scenario, ${name}, closed loop: as much as it can`, closed);
    loop(`Scenario, ${name}, open loop: latencies from when each call was due, ms`, open);
  }
  for (const [engine, competitors] of Object.entries(report.commandPath)) {
    title(`Command path, ${engine}: medians (lowest-highest) of ${Object.values(competitors)[0]?.length} rounds`);
    console.table(Object.fromEntries(Object.entries(competitors).map(([name, rounds]) => [name, rounded(rounds)])));
  }
  for (const [engine, rounds] of Object.entries(report.projector)) {
    title(`Projector, ${engine}: events/s from a full log into empty tables`);
    console.table(rounds);
  }
  for (const [engine, all] of Object.entries(report.growth)) {
    title(`Growth, ${engine}: p50 / p99 ms`);
    console.table(
      Object.fromEntries(
        all.map((grown) => [
          `${grown.services} services`,
          {
            ...Object.fromEntries(
              Object.entries(grown.latencies).map(([kind, { p50, p99 }]) => [kind, `${p50} / ${p99}`]),
            ),
            'start, s': JSON.stringify(grown.startSeconds),
            'memory, MiB': JSON.stringify(grown.memory),
            'with idle connections': grown.memoryWithConnections,
            errors: grown.errors,
          },
        ]),
      ),
    );
  }
  if (report.peers) {
    const { rounds, settings } = report.peers;
    title(`Beside other products: medians (lowest-highest) of ${Object.values(rounds)[0]?.length} rounds`);
    console.table(settings);
    console.table(Object.fromEntries(Object.entries(rounds).map(([name, all]) => [name, rounded(all)])));
  }
  title('Goals');
  console.table(
    Object.fromEntries(
      goals(report).map(({ goal, measured, reached }) => [
        goal,
        { measured: measured ?? '-', reached: reached === undefined ? 'not measured' : reached ? 'yes' : 'NO' },
      ]),
    ),
  );
}

const rounded = (rounds: readonly Round[]) => ({
  'requests/s': spread(rounds.map(({ requestsPerSecond }) => requestsPerSecond)),
  'CPU us/request': spread(rounds.map(({ cpuPerRequest }) => cpuPerRequest)),
  errors: rounds.reduce((sum, { errors }) => sum + errors, 0),
});

function loop(about: string, { requestsPerSecond, errors, latencies, visible, cpu, memory }: LoopMeasured): void {
  title(about);
  console.log(
    `${requestsPerSecond} requests/s, errors ${JSON.stringify(errors)}, CPU % ${JSON.stringify(cpu)}, MiB ${JSON.stringify(memory)}`,
  );
  console.table({ ...latencies, ...(visible && { 'acknowledged to visible': visible }) });
}
