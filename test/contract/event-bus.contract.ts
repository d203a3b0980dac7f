/** What an EventBus is. Every adapter runs this suite; it is the port's definition. */
import assert from 'node:assert/strict';
import type { Delivery, EventBus, ParkedEvents } from '../../src/events/event-bus.ts';
import type { EventLog, StoredEvent } from '../../src/events/event-log.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { Counted, Elsewhere, Named, until } from '../fixtures/events-of-tests.ts';

/** One bus under test, as two processes see it. */
export interface EventBusHarness {
  readonly log: EventLog;
  readonly parked: ParkedEvents;
  /** Another process's end of the bus. */
  open(): EventBus;
  dispose(): Promise<void>;
}

const TYPES = [Counted.type];

/** Collects numbers of events; fails as told. */
class Collector {
  readonly deliveries: Delivery[] = [];
  readonly handled: number[] = [];
  failsOn: (n: number, attempt: number) => Error | undefined = () => undefined;

  readonly handle = async (delivery: Delivery): Promise<void> => {
    this.deliveries.push(delivery);
    const { n } = delivery.event.payload as { n: number };
    const error = this.failsOn(n, delivery.attempt);
    if (error !== undefined) throw error;
    this.handled.push(n);
  };

  has(...wanted: number[]): boolean {
    return wanted.every((n) => this.handled.includes(n));
  }
}

export function eventBusContract(adapter: string, create: () => Promise<EventBusHarness>): void {
  describe(`EventBus contract: ${adapter}`, function () {
    this.timeout(30_000);
    let harness: EventBusHarness;
    let bus: EventBus;
    let buses: EventBus[];
    let got: Collector;

    const open = (): EventBus => {
      const opened = harness.open();
      buses.push(opened);
      return opened;
    };
    async function count(from: number, to: number): Promise<number> {
      let position = 0;
      for (let n = from; n <= to; n++) {
        ({ position } = await harness.log.append({
          stream: `test/${n % 3}`,
          expected: 'any',
          events: [Counted({ n })],
        }));
      }
      return position;
    }
    const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);
    const seen = (): string => `handled ${got.handled.join(' ')}`;

    beforeEach(async () => {
      harness = await create();
      buses = [];
      bus = open();
      got = new Collector();
    });
    afterEach(async () => {
      await Promise.all(buses.map((each) => each.close()));
      await harness.dispose();
    });

    it('delivers what is in the log already, then what comes, in order, as the log has it', async () => {
      await count(1, 20);
      await bus.consume({ name: 'reader', types: TYPES, handle: got.handle });
      await until(() => got.has(20), seen);
      await count(21, 40);
      await until(() => got.has(40), seen);
      assert.deepEqual(got.handled, numbers(1, 40));
      const stored: StoredEvent[] = [];
      for await (const page of harness.log.readAll(0)) stored.push(...page);
      assert.deepEqual(
        got.deliveries.map(({ event }) => event),
        stored,
      );
      assert.ok(got.deliveries.every(({ attempt }) => attempt === 1));
    });

    it('delivers only the types that were asked for', async () => {
      await bus.consume({ name: 'two-types', types: [Counted.type, Elsewhere.type], handle: got.handle });
      await harness.log.append({
        stream: 'test/mixed',
        expected: 0,
        events: [Counted({ n: 1 }), Named({ name: 'x' }), Elsewhere({ n: 2 }), Counted({ n: 3 })],
      });
      await until(() => got.has(1, 2, 3), seen);
      assert.deepEqual(got.handled, [1, 2, 3]);
    });

    it('gives each consumer everything, whatever becomes of the others', async () => {
      const other = new Collector();
      other.failsOn = () => new Error('never');
      await bus.consume({ name: 'failing', types: TYPES, handle: other.handle });
      await bus.consume({ name: 'fine', types: TYPES, handle: got.handle });
      await count(1, 5);
      await until(() => got.has(1, 2, 3, 4, 5), seen);
    });

    it('goes on where it was when it is opened again', async () => {
      await count(1, 5);
      const stop = await bus.consume({ name: 'reader', types: TYPES, handle: got.handle });
      await until(() => got.has(5), seen);
      await stop();
      await bus.close();
      await count(6, 10);
      const again = new Collector();
      await open().consume({ name: 'reader', types: TYPES, handle: again.handle });
      await until(() => again.has(6, 7, 8, 9, 10), 'the rest');
      // At least once: a little may come twice, but nothing that was handled long ago.
      assert.ok(again.handled.every((n) => n >= 1 && n <= 10));
    });

    it('delivers again what failed, and counts the tries', async () => {
      got.failsOn = (n, attempt) => (n === 2 && attempt < 3 ? new Error('not yet') : undefined);
      await bus.consume({ name: 'reader', types: TYPES, handle: got.handle });
      await count(1, 3);
      await until(() => got.has(1, 2, 3), seen);
      const tries = got.deliveries.filter(({ event }) => (event.payload as { n: number }).n === 2);
      assert.deepEqual(
        tries.map(({ attempt }) => attempt),
        [1, 2, 3],
      );
      assert.deepEqual(await harness.parked.list(), []);
    });

    it('parks what fails too often, with its reason, and goes on', async () => {
      got.failsOn = (n) => (n === 2 ? new Error('poison \0 here') : undefined);
      await bus.consume({ name: 'reader', types: TYPES, attemptsMax: 3, handle: got.handle });
      await count(1, 4);
      await until(async () => (await harness.parked.list('bus/reader')).length === 1, seen);
      await until(() => got.has(1, 3, 4), seen);
      const [parked] = await harness.parked.list();
      assert.equal(parked!.event.position, 2);
      assert.deepEqual(parked!.event.payload, { n: 2 });
      assert.equal(parked!.attempts, 3);
      assert.match(parked!.reason, /poison/);
      assert.equal(parked!.isReplaying, false);
      assert.equal(got.deliveries.filter(({ event }) => event.position === 2).length, 3);
    });

    it('hands a parked event that is sent back to its consumer again, and parks it once more if it still fails', async () => {
      let isCured = false;
      got.failsOn = (n) => (n === 2 && !isCured ? new Error('poison') : undefined);
      await bus.consume({ name: 'reader', types: TYPES, attemptsMax: 2, handle: got.handle });
      await count(1, 3);
      const parked = (): Promise<readonly { parkedAtMs: number; isReplaying: boolean }[]> => harness.parked.list();
      await until(async () => (await parked()).length === 1, seen);
      const triesBefore = got.deliveries.length;
      assert.equal(await harness.parked.replay('bus/reader', 2), true);
      await until(async () => got.deliveries.length > triesBefore && !(await parked())[0]!.isReplaying, seen);
      isCured = true;
      assert.equal(await harness.parked.replay('bus/reader', 2), true);
      await until(async () => (await parked()).length === 0, seen);
      assert.ok(got.has(1, 2, 3));
      assert.equal(await harness.parked.replay('bus/reader', 2), false);
    });

    it('waits for a store that does not answer, however often, and parks nothing', async () => {
      let refusals = 0;
      got.failsOn = (n) => (n === 2 && refusals++ < 4 ? new GameError('DATABASE_UNAVAILABLE') : undefined);
      await bus.consume({ name: 'reader', types: TYPES, attemptsMax: 1, handle: got.handle });
      await count(1, 3);
      await until(() => got.has(1, 2, 3), seen);
      assert.deepEqual(await harness.parked.list(), []);
    });

    it('lets two processes consume under one name without doing everything twice, and one go on alone', async () => {
      const other = new Collector();
      const stop = await bus.consume({ name: 'reader', types: TYPES, handle: got.handle });
      const otherBus = open();
      await otherBus.consume({ name: 'reader', types: TYPES, handle: other.handle });
      await count(1, 30);
      const all = (): number[] => [...got.handled, ...other.handled].sort((a, b) => a - b);
      await until(() => all().length >= 30, seen);
      assert.deepEqual(all(), numbers(1, 30));
      await stop();
      await count(31, 40);
      await until(() => new Set(all()).size === 40, seen);
    });

    it('refuses a name twice, bad names, no types and senseless tries', async () => {
      await bus.consume({ name: 'reader', types: TYPES, handle: got.handle });
      for (const options of [
        { name: 'reader' },
        { name: 'Two Words' },
        { name: `a${'b'.repeat(64)}` },
        { name: "x'; drop table parked_events" },
        { name: 'none', types: [] },
        { name: 'zero', attemptsMax: 0 },
        { name: 'half', attemptsMax: 1.5 },
      ]) {
        await assert.rejects(bus.consume({ types: TYPES, handle: got.handle, ...options }), RangeError);
      }
    });
  });
}
