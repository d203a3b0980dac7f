/**
 * One measurement of the bench `tick`: real rooms in a process of their own, a loop each, no clients.
 * Arguments: variant, rate in Hz, rooms, load 0 to 1, seconds. Ends in one line of JSON, {@link TickMeasurement}.
 */
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { definePlugins, defineRoom, defineServer, matchMaker, Room } from '@colyseus/core';
import { type SchemaType, schema, t } from '@colyseus/schema';
import { WebSocketTransport } from '@colyseus/ws-transport';
import { TickTotals } from '../../../src/match/tick-metrics.ts';
import { TickPlugin } from '../../../src/match/tick-plugin.ts';
import { TickScheduler } from '../../../src/match/tick-scheduler.ts';
import { percentile } from '../bench.ts';
import { deviationsOf, driftOf, type TickMeasurement, VARIANTS } from './grid.ts';

const [variantName, rateText, roomsText, loadText, secondsText] = process.argv.slice(2);
const variant = VARIANTS.find((name) => name === variantName);
if (variant === undefined) throw new Error(`unknown variant ${variantName}`);
const rateHz = Number(rateText);
const roomCount = Number(roomsText);
const seconds = Number(secondsText);
const periodMs = 1000 / rateHz;
/** What the steps of all rooms together take of a period, evenly. */
const busyMs = (Number(loadText) * periodMs) / roomCount;

const BenchState = schema({ tick: t.uint32().default(0) }, 'BenchState');

const scheduler = new TickScheduler({
  reportFault: (error) => {
    throw error;
  },
});
const totals = new TickTotals();
const times: number[][] = [];

class BenchRoom extends Room<{ state: SchemaType<typeof BenchState> }> {
  override state = new BenchState();
  override plugins = definePlugins([new TickPlugin()]);
  override autoDispose = false;

  constructor() {
    super();
    // The same monotonic clock for every variant: what is compared are the loops.
    (this.clock as unknown as { now: () => number }).now = () => performance.now();
  }

  override onCreate(): void {
    const own: number[] = [];
    times.push(own);
    const step = () => {
      const startedMs = performance.now();
      own.push(startedMs);
      this.state.tick++;
      while (performance.now() - startedMs < busyMs);
    };
    if (variant === 'scheduler') {
      this.plugins.tick.start({
        scheduler,
        totals,
        rateHz,
        patchEveryTicks: 1,
        firstTick: 0,
        phases: { inputs: () => {}, step, project: () => {}, patch: () => this.broadcastPatch() },
        onFault: (error) => {
          throw error;
        },
      });
    } else {
      if (variant === 'setFixedTimestep') this.setFixedTimestep(step, rateHz);
      else this.setTimestep(step, periodMs);
      this.patchRate = periodMs;
    }
  }
}

const server = defineServer({
  rooms: { bench: defineRoom(BenchRoom) },
  transport: new WebSocketTransport({ server: createServer() }),
  greet: false,
  gracefullyShutdown: false,
});
await server.listen(0, '127.0.0.1');
for (let i = 0; i < roomCount; i++) {
  await matchMaker.createRoom('bench', {});
  // Rooms do not start in one instant in life either; the same distances for every variant.
  await delay((i * 7) % Math.ceil(periodMs));
}
await delay(1000);
const fromMs = performance.now();
const cpuBefore = process.cpuUsage();
await delay(seconds * 1000);
const untilMs = performance.now();
const cpu = process.cpuUsage(cpuBefore);

const windows = times.map((own) => own.filter((atMs) => atMs >= fromMs && atMs < untilMs));
const deviations = windows.flatMap((window) => [...deviationsOf(window, periodMs)]);
const measurement: TickMeasurement = {
  p50Ms: percentile(deviations, 0.5),
  p99Ms: percentile(deviations, 0.99),
  maxMs: percentile(deviations, 1),
  driftMs: windows.map((window) => driftOf(window, periodMs)).reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0),
  rateHz: deviations.length / roomCount / ((untilMs - fromMs) / 1000),
  cpuShare: (cpu.user + cpu.system) / 1000 / (untilMs - fromMs),
  dropped: scheduler.counts.dropped,
};
process.stdout.write(`${JSON.stringify(measurement)}\n`, () => process.exit(0));
