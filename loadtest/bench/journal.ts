/**
 * What recording matches in Redis costs: rooms of the arena with ten players each at 30 Hz, without sockets, at each
 * durability; and how long a match of ten minutes takes to be claimed and read by who takes it over, and to be read whole.
 */
import { randomBytes } from 'node:crypto';
import { RedisJournal } from '../../src/adapters/redis-journal.ts';
import type { MatchHeader } from '../../src/kernel/match-header.ts';
import type { Entry, SeatEvent } from '../../src/kernel/simulation.ts';
import type { RecordedTail } from '../../src/match/journal.ts';
import { type Durability, JournalPlugin } from '../../src/match/journal-plugin.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { TickScheduler } from '../../src/match/tick-scheduler.ts';
import { type ArenaIntent, arena } from '../../src/sim/arena.ts';
import { RedisServer } from '../../test/fixtures/redis-server.ts';
import { atMost, defineBench, percentile, type ResultRow } from './bench.ts';

const TICK_RATE_HZ = 30;
const PLAYERS = 10;
const DURABILITIES: readonly Durability[] = ['off', 'batch', 'wal'];
/** As large as that of an arena with ten players. */
const CAPTURE = randomBytes(8_000);
const LONG_MATCH_TICKS = 10 * 60 * TICK_RATE_HZ;

export default defineBench({
  name: 'journal',
  summary:
    'CPU, bytes and acknowledgements of matches recorded in Redis, by durability; taking over and reading a match of ten minutes',
  options: {
    rooms: { type: 'numbers', default: [50, 100], quick: [5], min: 1, max: 1_000, help: 'rooms at once' },
    seconds: { type: 'number', default: 6, quick: 0.5, min: 0.2, max: 600, help: 'length of one measurement' },
  },
  async run({ options, progress }) {
    const server = await RedisServer.start();
    try {
      const results: ResultRow[] = [];
      let walP99Ms = 0;
      for (const rooms of options.rooms) {
        for (const durability of DURABILITIES) {
          progress(`${rooms} rooms, ${durability}`);
          const row = await measure(server, rooms, durability, options.seconds);
          if (durability === 'wal') walP99Ms = row['ack p99 ms'] as number;
          results.push(row);
        }
      }
      progress('reading a match of ten minutes');
      const rows = await readLong(server);
      for (const [what, { bytes, ms, cpuMs }] of Object.entries(rows)) {
        results.push({
          rooms: 1,
          durability: what,
          'kB/s': null,
          kB: bytes / 1000,
          'read ms': ms,
          'read CPU ms': cpuMs,
        });
      }
      return {
        results,
        goals: [
          atMost('acknowledgement with wal, p99', walP99Ms, 50, 'ms'),
          atMost('claiming a match of ten minutes and reading its tail', rows['claim, tail'].cpuMs, 60, 'ms of CPU'),
          atMost('a match of ten minutes in Redis', rows['in Redis'].bytes / 2 ** 20, 4, 'MiB'),
        ],
      };
    } finally {
      await server.stop();
    }
  },
});

/** Samples every acknowledgement. */
class SampledTotals extends JournalTotals {
  readonly ackMs: number[] = [];

  override observeAck(ms: number): void {
    this.ackMs.push(ms);
    super.observeAck(ms);
  }
}

class BenchRoom {
  readonly #plugin = new JournalPlugin();
  readonly #world = arena.create({ seed: 1, map: 'colosseum', capacity: 16, liveTicks: LONG_MATCH_TICKS });
  readonly #intents: { seat: number; intent: ArenaIntent }[];

  constructor() {
    const intent = (seat: number) => ({
      moveX: 100 - 20 * seat,
      moveY: 15 * seat - 70,
      aim: 25 * seat,
      buttons: seat & 3,
    });
    this.#intents = Array.from({ length: PLAYERS }, (_, seat) => ({ seat, intent: { ...intent(seat), rewind: 0 } }));
  }

  async begin(journal: RedisJournal, matchId: string, durability: Durability): Promise<void> {
    await this.#plugin.begin({
      isSnapshotOnCall: true,
      sim: arena,
      world: this.#world,
      header: headerOf(matchId),
      journal,
      durability,
      onFault: (error) => {
        throw error;
      },
    });
  }

  onTick(): void {
    const tick = arena.tickOf(this.#world);
    const events: SeatEvent[] =
      tick > 0
        ? []
        : this.#intents.map(({ seat }) => ({
            kind: 'join',
            seat,
            name: `P${seat}`,
            playerId: `p${seat}`,
            isBot: false,
          }));
    const entry: Entry<ArenaIntent> = { tick, events, intents: this.#intents };
    arena.step(this.#world, entry);
    this.#plugin.record(entry, this.#world);
    if (this.#plugin.isSnapshotDue) this.#plugin.snapshot(this.#world, CAPTURE);
  }

  onFault(error: unknown): void {
    throw error;
  }

  flush(): Promise<void> {
    return this.#plugin.flush();
  }
}

function headerOf(matchId: string): MatchHeader {
  const setup = { seed: 1, map: 'colosseum', capacity: 16, liveTicks: LONG_MATCH_TICKS };
  const { id: simId, version: simVersion } = arena;
  return {
    matchId,
    simId,
    simVersion,
    tickRateHz: TICK_RATE_HZ,
    roomName: 'arena',
    buildId: 'bench',
    setup,
    createdAtMs: Date.now(),
  };
}

async function measure(
  server: RedisServer,
  rooms: number,
  durability: Durability,
  seconds: number,
): Promise<ResultRow> {
  const totals = new SampledTotals();
  const journal = await RedisJournal.open({ url: server.url, totals });
  const scheduler = new TickScheduler({
    reportFault: (error) => {
      throw error;
    },
  });
  const all = Array.from({ length: rooms }, () => new BenchRoom());
  for (const [i, room] of all.entries()) await room.begin(journal, `${durability}-${rooms}-${i}`, durability);
  const loops = all.map((room) => scheduler.add(TICK_RATE_HZ, room));
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  await wait(seconds * 200);
  totals.ackMs.length = 0;
  const [bytes, cpu, redisSeconds, sinceMs] = [
    totals.bytes,
    process.cpuUsage(),
    await cpuOf(server),
    performance.now(),
  ];
  await wait(seconds * 1000);
  const { user, system } = process.cpuUsage(cpu);
  const tookMs = performance.now() - sinceMs;
  const redisCpu = (await cpuOf(server)) - redisSeconds;
  for (const loop of loops) loop.stop();
  const acks = totals.ackMs.slice();
  await journal.close();
  await server.command((client) => client.flushall());
  return {
    rooms,
    durability,
    'CPU %': (user + system) / 10 / tookMs,
    'Redis CPU %': (redisCpu * 100_000) / tookMs,
    'commits/s': (acks.length * 1000) / tookMs,
    'ack p50 ms': acks.length === 0 ? null : percentile(acks, 0.5),
    'ack p99 ms': acks.length === 0 ? null : percentile(acks, 0.99),
    'kB/s': (totals.bytes - bytes) / tookMs,
  };
}

async function cpuOf(server: RedisServer): Promise<number> {
  const info = await server.command((client) => client.info('cpu'));
  return ['used_cpu_user', 'used_cpu_sys'].reduce(
    (sum, name) => sum + Number(new RegExp(`${name}:([\\d.]+)`).exec(info)![1]),
    0,
  );
}

interface Reading {
  readonly bytes: number;
  readonly ms: number | null;
  readonly cpuMs: number;
}

async function readLong(server: RedisServer): Promise<Record<'in Redis' | 'claim, tail' | 'whole', Reading>> {
  const journal = await RedisJournal.open({ url: server.url, totals: new JournalTotals() });
  const room = new BenchRoom();
  await room.begin(journal, 'long', 'batch');
  for (let tick = 0; tick < LONG_MATCH_TICKS; tick++) {
    room.onTick();
    // As often as a batch leaves.
    if (tick % 2 === 1) await room.flush();
  }
  await room.flush();
  const stored = await server.command((client) => client.memory('USAGE', 'hypogeum:journal:long', 'SAMPLES', 0));
  const other = await RedisJournal.open({ url: server.url, totals: new JournalTotals() });
  const tail = await timed(async () => {
    await other.open(headerOf('long'), 2);
    return (await other.loadTail('long'))!;
  });
  const whole = await timed(async () => (await other.load('long'))!);
  for (const { firstTick, entries } of [tail.recorded, whole.recorded]) {
    if (firstTick + entries.length !== LONG_MATCH_TICKS) throw new Error('the match is not whole');
  }
  await Promise.all([journal.close(), other.close()]);
  return {
    'in Redis': { bytes: stored!, ms: null, cpuMs: 0 },
    'claim, tail': tail,
    whole,
  };
}

async function timed<T extends RecordedTail>(read: () => Promise<T>): Promise<Reading & { readonly recorded: T }> {
  const [cpu, beganAtMs] = [process.cpuUsage(), performance.now()];
  const recorded = await read();
  const ms = performance.now() - beganAtMs;
  const { user, system } = process.cpuUsage(cpu);
  const { entries, snapshots, sessions } = recorded;
  let bytes = 0;
  for (const one of [...entries, ...sessions, ...snapshots]) bytes += one.bytes.length;
  for (const { room } of snapshots) bytes += room?.length ?? 0;
  return { recorded, bytes, ms, cpuMs: (user + system) / 1000 };
}
