/** How evenly rooms tick: our scheduler against the framework's two own loops, same rooms, same load. */
import { alternate, atMost, defineBench, measureInChild, median, type ResultRow } from './bench.ts';
import { type TickMeasurement, VARIANTS, type Variant } from './tick/grid.ts';

const CHILD = new URL('./tick/variant.ts', import.meta.url);
/** The hardest stated case, for which the goals hold. */
const GOAL = { rateHz: 30, rooms: 20, load: 0.5 } as const;

export default defineBench({
  name: 'tick',
  summary: 'deviation and drift of the tick loop against setFixedTimestep and setTimestep',
  options: {
    rates: { type: 'numbers', default: [20, 30, 60], quick: [30], min: 10, max: 60, help: 'tick rates in Hz' },
    rooms: { type: 'numbers', default: [1, 20], quick: [20], min: 1, max: 200, help: 'rooms in the process' },
    loads: {
      type: 'numbers',
      default: [0, 0.5],
      quick: [0.5],
      min: 0,
      max: 2,
      help: 'share of the period spent in steps',
    },
    seconds: { type: 'number', default: 6, quick: 1, min: 0.5, max: 600, help: 'length of a measurement' },
    rounds: {
      type: 'number',
      default: 3,
      quick: 1,
      min: 1,
      max: 99,
      help: 'measurements of each case, medians are shown',
    },
    'drift-seconds': {
      type: 'number',
      default: 60,
      quick: 1,
      min: 1,
      max: 3600,
      help: 'length of the drift measurement',
    },
  },
  async run({ options, progress }) {
    const measure = (variant: string, rateHz: number, rooms: number, load: number, seconds: number) =>
      measureInChild<TickMeasurement>(CHILD, [variant, rateHz, rooms, load, seconds].map(String), {
        timeoutMs: seconds * 1000 + 30_000,
      });
    const cases = options.rates.flatMap((rateHz) =>
      options.rooms.flatMap((rooms) => options.loads.map((load) => ({ rateHz, rooms, load }))),
    );
    const total = cases.length * VARIANTS.length * options.rounds + VARIANTS.length;
    let done = 0;
    const results: ResultRow[] = [];
    const p99Ms: Partial<Record<Variant, number>> = {};
    for (const { rateHz, rooms, load } of cases) {
      const measured = await alternate(VARIANTS, options.rounds, (variant) => {
        progress(`${++done} of ${total}: ${variant}, ${rateHz} Hz, ${rooms} rooms, load ${load}`);
        return measure(variant, rateHz, rooms, load, options.seconds);
      });
      for (const variant of VARIANTS) {
        const of = (field: keyof TickMeasurement) => median(measured[variant].map((one) => one[field]));
        results.push({
          'rate Hz': rateHz,
          rooms,
          load,
          loop: variant,
          'p50 ms': of('p50Ms'),
          'p99 ms': of('p99Ms'),
          'max ms': of('maxMs'),
          'drift ms': of('driftMs'),
          'seen Hz': of('rateHz'),
          'cpu %': 100 * of('cpuShare'),
          dropped: variant === 'scheduler' ? of('dropped') : null,
        });
        if (rateHz === GOAL.rateHz && rooms === GOAL.rooms && load === GOAL.load) p99Ms[variant] = of('p99Ms');
      }
    }
    const driftMs: Partial<Record<Variant, number>> = {};
    for (const variant of VARIANTS) {
      progress(`${++done} of ${total}: drift of ${variant} in ${options['drift-seconds']} s`);
      const one = await measure(variant, GOAL.rateHz, GOAL.rooms, GOAL.load, options['drift-seconds']);
      driftMs[variant] = one.driftMs;
      results.push({
        'rate Hz': GOAL.rateHz,
        rooms: GOAL.rooms,
        load: GOAL.load,
        loop: `${variant}, ${options['drift-seconds']} s`,
        'p50 ms': one.p50Ms,
        'p99 ms': one.p99Ms,
        'max ms': one.maxMs,
        'drift ms': one.driftMs,
        'seen Hz': one.rateHz,
        'cpu %': 100 * one.cpuShare,
        dropped: variant === 'scheduler' ? one.dropped : null,
      });
    }
    const ours = p99Ms.scheduler ?? Number.NaN;
    return {
      results,
      goals: [
        atMost('p99 deviation, 30 Hz, 20 rooms, half load', ours, 1.5, 'ms'),
        atMost('the same as a share of setFixedTimestep', ours / (p99Ms.setFixedTimestep ?? Number.NaN), 0.1, ''),
        // Half a millisecond is the resolution of the timers: below it nothing has moved.
        atMost(`drift in ${options['drift-seconds']} s`, Math.abs(driftMs.scheduler ?? Number.NaN), 0.5, 'ms'),
      ],
    };
  },
});
