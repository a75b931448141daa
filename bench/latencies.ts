import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

const FIGURES = 3;
const LONGEST_US = 60_000_000;
const MICROSECONDS = 1_000;
const percentiles = [50, 95, 99, 99.9] as const;

/** ms. */
export type Percentiles = Readonly<Record<`p${(typeof percentiles)[number]}` | 'max' | 'count', number>>;

/** Latencies by kind of call, in HDR histograms of three figures. */
export class Latencies {
  private readonly histograms = new Map<string, RecordableHistogram>();

  add(kind: string, ms: number): void {
    let histogram = this.histograms.get(kind);
    if (!histogram) {
      histogram = createHistogram({ lowest: 1, highest: LONGEST_US, figures: FIGURES });
      this.histograms.set(kind, histogram);
    }
    histogram.record(Math.min(LONGEST_US, Math.max(1, Math.round(ms * MICROSECONDS))));
  }

  /** Of several kinds together. Undefined when there were none. */
  of(wanted: (kind: string) => boolean = () => true): Percentiles | undefined {
    const sum = createHistogram({ lowest: 1, highest: LONGEST_US, figures: FIGURES });
    for (const [kind, histogram] of this.histograms) if (wanted(kind)) sum.add(histogram);
    if (sum.count === 0) return undefined;
    const ms = (us: number): number => Math.round(us / 10) / 100;
    const shown = Object.fromEntries(percentiles.map((p) => [`p${p}`, ms(sum.percentile(p))]));
    return { ...shown, max: ms(sum.max), count: sum.count } as Percentiles;
  }

  byKind(): Readonly<Record<string, Percentiles>> {
    return Object.fromEntries([...this.histograms.keys()].map((kind) => [kind, this.of((other) => other === kind)!]));
  }
}
